"""Facts: what cannot be true is unknown and named, and nothing raises."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import event_id, upload_id_of_key
from contracts.intake import EcgUploaded
from contracts.vocabulary import Blob, Complaint, Lane, Sex
from services.gateway.facts import ALLOWED, NAMED_AT_MOST, Facts, not_understood, read_facts

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIELDS = {
    "age": "age_y",
    "sex": "sex",
    "complaint": "complaint",
    "first_medical_contact": "first_medical_contact_at",
    "sent_at": "sent_at",
    "device_time": "device_time",
    "patient": "patient",
    "follows": "follows",
}


def read(**said: str) -> Facts:
    return read_facts(said.items(), NOW)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("age", "63", 63),
        ("age", " 0 ", 0),
        ("age", "125", 125),
        ("age", "６３", 63),
        ("sex", "m", Sex.MALE),
        ("sex", "女", Sex.FEMALE),
        ("complaint", "Chest pain", Complaint.CHEST_PAIN),
        ("complaint", "胸痛", Complaint.CHEST_PAIN),
        ("sent_at", "2026-03-01T20:00:00+08:00", NOW),
        ("sent_at", "2026-03-01T20:00:00 08:00", NOW),  # as a query brings it that nobody escaped
        ("sent_at", "2026-03-01T12:00:00Z", NOW),
        ("first_medical_contact", "2026-03-01T12:04:00Z", NOW + timedelta(minutes=4)),
        ("device_time", "2026-03-01 11:58:03", "2026-03-01 11:58:03"),
        ("device_time", "20260301T115803", "20260301T115803"),
        ("patient", " A-0042 ", "A-0042"),
    ],
)
def test_a_fact_is_read_as_it_was_meant(name: str, value: str, meant: object) -> None:
    facts = read(**{name: value})
    assert getattr(facts, FIELDS[name]) == meant
    assert facts.unknown == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("age", "126"),
        ("age", "-1"),
        ("age", "63.5"),
        ("age", "old"),
        ("sex", "X"),
        ("complaint", "Wang's chest hurts"),
        ("sent_at", "2026-03-01T12:00:00"),  # no offset: which clock?
        ("sent_at", "0001-01-01T00:00:00+14:00"),
        ("sent_at", "yesterday"),
        ("first_medical_contact", "2026-03-01T12:06:00Z"),
        ("first_medical_contact", "2026-01-29T12:00:00Z"),
        ("device_time", "110101199003071234"),  # the number of an identity card
        ("device_time", "noon"),
        ("patient", "9" * 65),
        ("patient", "0000"),
        ("patient", "--"),
        ("follows", "the last one"),
    ],
)
def test_a_fact_that_cannot_be_true_is_unknown_and_named(name: str, value: str) -> None:
    facts = read(**{name: value})
    assert getattr(facts, FIELDS[name]) is None
    assert facts.unknown == (name,)


@pytest.mark.parametrize(
    ("said", "lane", "unknown"), [("routine", Lane.ROUTINE, ()), (" ROUTINE ", Lane.ROUTINE, ()), ("rutine", Lane.EMERGENCY, ("lane",))]
)
def test_what_does_not_say_that_it_is_routine_is_an_emergency(said: str, lane: Lane, unknown: tuple[str, ...]) -> None:
    assert (read(lane=said).lane, read(lane=said).unknown) == (lane, unknown)
    assert read().lane is Lane.EMERGENCY
    assert read_facts([("lane", "routine"), ("lane", "emergency")], NOW) == Facts(unknown=("lane",))


def test_a_fact_said_twice_counts_if_both_agree() -> None:
    assert read_facts([("age", "60"), ("age", " 60")], NOW).age_y == 60
    assert read_facts([("age", "60"), ("age", "16")], NOW) == Facts(unknown=("age",))


def test_an_empty_field_of_a_form_says_nothing() -> None:
    assert read_facts([(name, " ") for name in ALLOWED], NOW) == Facts()


def test_a_name_that_is_no_fact_is_named_once_and_what_is_no_name_is_not_repeated() -> None:
    said = [
        *((name, "1") for name in ("clinic", *ALLOWED)),
        ("patient_number", "A-1"),
        ("Age", "61"),
        ("patient_number", ""),
        ("110101199003071234", ""),
    ]
    assert not_understood(said) == ("patient_number", "Age", "?")
    assert not_understood([("x" * 41, ""), ("老王", "")]) == ("?",)
    assert len(not_understood([("a" * length, "") for length in range(1, 40)])) == NAMED_AT_MOST


def test_the_number_is_not_shown_where_facts_are() -> None:
    assert "A-0042" not in repr(read(patient="A-0042"))


VALUES = (
    st.text(max_size=80)
    | st.from_regex(r"[0-9]{1,4}", fullmatch=True)
    | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
    | st.uuids().map(str)
    | st.sampled_from(["routine", "M", "胸痛", "2026-03-01T11:00:00Z", "2026-03-01", "20260301T115803Z"])
)


@given(st.lists(st.tuples(st.sampled_from([*ALLOWED, "clinic", "name"]), VALUES), max_size=12))
def test_whatever_is_said_becomes_an_event_or_is_named(said: list[tuple[str, str]]) -> None:
    facts = read_facts(said, NOW)
    upload_id = upload_id_of_key("township", "1")
    event = EcgUploaded(
        at=NOW,
        upload_id=upload_id,
        clinic_id="township",
        patient_key=str(event_id(upload_id, "any")),
        lane=facts.lane,
        recording=Blob(dataref="raw/0", sha256="0" * 64, size_bytes=1, media_type="x"),
        age_y=facts.age_y,
        sex=facts.sex,
        complaint=facts.complaint,
        first_medical_contact_at=facts.first_medical_contact_at,
        follows=facts.follows,
        sent_at=facts.sent_at,
        device_time=facts.device_time,
        unknown_facts=facts.unknown,
    )
    assert EcgUploaded.model_validate_json(event.model_dump_json()) == event
    meant = {name for name, value in said if value.strip() and name in FIELDS}
    known = {name for name, attribute in FIELDS.items() if getattr(facts, attribute) is not None}
    assert known | set(facts.unknown) - {"lane"} == meant
    assert not known & set(facts.unknown)
