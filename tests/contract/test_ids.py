"""Ids are made of their cause: the same cause makes the same ids anywhere, and no two causes share one."""

from itertools import combinations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts import ids
from contracts.vocabulary import Lane

CASE = ids.CaseId(UUID(int=1))
UPLOAD = ids.UploadId(UUID(int=2))
SHA = "a" * 64
OTHER_SHA = "b" * 64
KEPT = [
    "ddff30a7-87dc-56de-a917-abd4939ed36f",
    "1c54afb7-b120-5df2-9d01-f656877b8026",
    "ef3fe85e-542e-54a8-b147-bef77abaf866",
    "352ad254-4d0d-51e6-8243-11e59e6a5af2",
    "4f6df211-d272-5cf3-9e50-b9fb38f85157",
    "4e388f4a-a24a-5e5f-a794-b54ab38d88ef",
    "8732764e-0020-5b37-bad2-7113522a49ee",
]


def test_ids_are_what_they_were_in_the_first_version() -> None:
    """Written down: an id that came out otherwise after an update would be acted on twice."""
    assert [
        str(ids.upload_id_of_content("demo-clinic", SHA, {"age_y": 61, "lane": Lane.EMERGENCY})),
        str(ids.upload_id_of_key("demo-clinic", "key")),
        str(ids.event_id(CASE, "CaseOpened", 0)),
        str(ids.case_id(UPLOAD)),
        str(ids.timer_id(CASE, "unanswered/1")),
        str(ids.notice_id(CASE, "demo-cardiologist", "local", 1)),
        ids.unnamed_patient_key("demo-clinic", SHA),
    ] == KEPT


def test_parts_that_join_to_the_same_text_stay_apart() -> None:
    assert ids.upload_id_of_key("a", "bc") != ids.upload_id_of_key("ab", "c")
    assert ids.notice_id(CASE, "a", "bc", 1) != ids.notice_id(CASE, "ab", "c", 1)
    assert ids.notice_id(CASE, "a", "b", 11) != ids.notice_id(CASE, "a", "b1", 1)
    assert ids.event_id(CASE, "Paged", 11) != ids.event_id(CASE, "Paged1", 1)
    assert ids.unnamed_patient_key("a", SHA) != ids.unnamed_patient_key("ab", SHA)


def test_two_people_paged_in_one_round_have_a_notice_each_and_each_round_anew() -> None:
    notices = [ids.notice_id(CASE, person, method, round_) for person in ("chen", "li") for method in ("sms", "wecom") for round_ in (1, 2)]
    assert len(set(notices)) == len(notices)


def test_two_events_of_a_kind_that_follow_from_one_cause_have_an_id_each() -> None:
    assert ids.event_id(CASE, "PageRequested", 0) != ids.event_id(CASE, "PageRequested", 1)


def test_an_id_of_one_kind_is_never_one_of_another() -> None:
    made = [ids.case_id(ids.UploadId(CASE)), ids.timer_id(CASE, "case"), ids.event_id(CASE, "case"), ids.notice_id(CASE, "case", "", 0)]
    made += [ids.upload_id_of_key("case", SHA), ids.upload_id_of_content("case", SHA, {}), UUID(ids.unnamed_patient_key("case", SHA))]
    assert len(set(made)) == len(made)


def test_the_same_files_with_other_facts_or_in_another_lane_are_another_upload() -> None:
    facts: list[dict[str, str | int | None]] = [
        {"age_y": 61, "lane": "emergency"},
        {"age_y": 61, "lane": "routine"},
        {"age_y": 62, "lane": "emergency"},
        {"lane": "emergency"},
    ]
    uploads = [ids.upload_id_of_content(clinic, sha, each) for clinic in ("east", "west") for sha in (SHA, OTHER_SHA) for each in facts]
    assert len(set(uploads)) == len(uploads)


@given(st.dictionaries(st.sampled_from(["age_y", "sex", "lane", "patient"]), st.none() | st.text(max_size=3) | st.integers()))
def test_facts_in_another_order_are_the_same_upload(facts: dict[str, str | int | None]) -> None:
    turned = dict(reversed(facts.items()))
    assert ids.upload_id_of_content("east", SHA, facts) == ids.upload_id_of_content("east", SHA, turned)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=2, max_size=4, unique=True))
def test_two_uploads_share_an_id_only_if_clinic_and_key_are_the_same(pairs: list[tuple[str, str]]) -> None:
    assert all(ids.upload_id_of_key(*one) != ids.upload_id_of_key(*other) for one, other in combinations(pairs, 2))


def test_a_patient_key_needs_the_secret_and_tells_the_clinics_apart() -> None:
    keys = [ids.patient_key(secret, clinic, number) for secret in (b"s", b"t") for clinic in ("east", "west") for number in ("1", "2")]
    assert len(set(keys)) == len(keys)
    assert ids.patient_key(b"s", "a", "bc") != ids.patient_key(b"s", "ab", "c")
    assert ids.patient_key(b"s", "east", "1") == ids.patient_key(b"s", "east", "1")
    assert all(len(key) == 64 for key in keys)
