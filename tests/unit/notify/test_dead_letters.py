"""A dead letter is told of whatever is left of it."""

import json

from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import DELIVERIES, dead_letter_topic
from services.cases.app import READS
from services.notify.dead_letters import TOPICS, alarms, read_letter
from services.notify.groups import is_alarming_letter
from services.notify.text import LONGEST
from tests.unit.notify.pages import contacts, directory, page, sealed

CASES_DLQ = TOPICS[-1]
ORIGIN = (("dlq_origin", b"cases.v1/2/77"), ("dlq_group", b"notify-red"))


def letter(headers, value, offset=5):
    record = ConsumerRecord(CASES_DLQ.name, 0, offset, 1, 0, b"key", value, None, 3, 0, tuple(headers))
    return read_letter(CASES_DLQ, record)


def test_a_letter_tells_the_clinics_centre_with_the_ids_of_its_headers():
    lost = sealed(page())
    found = letter([*lost.headers, *ORIGIN], lost.value)
    [(centre, _, notice)] = alarms(found.event, directory(), contacts())
    assert centre == "South"
    assert notice.person == "standing-number"
    assert str(page().case_id) in notice.text
    assert str(page().upload_id) in notice.text
    assert "Test Clinic" in notice.text
    assert page().patient_key not in notice.text


def test_a_letter_that_names_its_centre_tells_that_one_and_another_where_no_machine_can_ring_it():
    lost = sealed(page(centre_id="north"))
    found = letter([*lost.headers, *ORIGIN], lost.value)
    assert [centre for centre, _, _ in alarms(found.event, directory(), contacts())] == ["North"]
    assert [centre for centre, _, _ in alarms(found.event, directory(), contacts(alarms={"south": "local"}))] == ["South"]


def test_where_nothing_is_known_of_the_clinic_every_centre_is_told():
    found = letter([("ce_id", b"\xff\xfe"), *ORIGIN], b"{ not json")
    assert {centre for centre, _, _ in alarms(found.event, directory(), contacts())} == {"North", "South"}


def test_the_same_message_given_up_twice_is_one_notice_and_another_message_is_another():
    first, again = letter(ORIGIN, b"", offset=5), letter(ORIGIN, b"", offset=6)
    other = letter([("dlq_origin", b"cases.v1/2/78"), ("dlq_group", b"notify-red")], b"", offset=7)
    ids = [{notice.notice_id for _, _, notice in alarms(each.event, directory(), contacts())} for each in (first, again, other)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]
    assert first.envelope.id == again.envelope.id


def test_the_letters_of_one_message_are_one_notice_for_each_group_that_gave_it_up():
    message = ("ce_id", b"5f4a9f0e-8a70-5b51-9c1e-6d2f3b7c1a44")
    letters = [
        letter([message, ("dlq_origin", origin), ("dlq_group", group)], b"", offset=offset)
        for offset, (origin, group) in enumerate([(b"commands.v1/2/77", b"cases"), (b"commands.v1/2/78", b"cases"), (b"commands.v1/2/77", b"other")])
    ]
    once, again, other = ({notice.notice_id for _, _, notice in alarms(each.event, directory(), contacts())} for each in letters)
    assert once == again
    assert not once & other
    assert letters[0].envelope.id != letters[1].envelope.id  # each letter is handled: side by side, one would count as an attempt at the other


def test_whatever_cases_gives_up_and_should_have_led_to_a_page_is_heard():
    """What became of a notice is not: it leads to a page that comes without it too, when the round is over."""
    assert {dead_letter_topic(topic) for topic in READS} - set(TOPICS) == {dead_letter_topic(DELIVERIES)}
    assert all(is_alarming_letter([("dlq_group", f"cases.{topic.name}".encode())]) for topic in READS)


@given(
    headers=st.lists(st.tuples(st.sampled_from(["ce_id", "ce_subject", "ce_correlationid", "dlq_origin", "dlq_group"]), st.binary())),
    value=st.binary(),
)
def test_no_letter_is_too_damaged_to_be_told_of(headers, value):
    told = alarms(letter(headers, value).event, directory(), contacts())
    assert told
    assert all(len(notice.text) <= LONGEST and notice.text.isprintable() for _, _, notice in told)


@given(
    value=st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.sampled_from(["clinic_id", "case_id", "upload_id"]), inner)
    )
)
def test_no_value_is_too_odd_to_be_told_of(value):
    assert alarms(letter(ORIGIN, json.dumps(value).encode()).event, directory(), contacts())
