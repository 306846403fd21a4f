"""The projection: what is shown follows from the set of events alone, and every figure names its event."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import EventId
from contracts.vocabulary import Priority
from services.console.projection import Fact, places_of
from services.console.views import CaseSummary, case_of, case_view, upload_view
from services.console.words import Told
from tests.unit.console.life import Life
from tests.unit.console.story import Story

STORY = Story()
HEARD = STORY.heard()
NAMES = {"clinic": "Test Clinic"}


def gathered(heard: Sequence[tuple[Fact, Told]]) -> dict[tuple[str, object], dict[EventId, Fact]]:
    """Return all facts by where they belong."""
    kept: dict[tuple[str, object], dict[EventId, Fact]] = {}
    for fact, event in heard:
        for place in places_of(event):
            kept.setdefault((place.of, place.id), {})[fact.event_id] = fact
    return kept


def shown(heard: Sequence[tuple[Fact, Told]]):
    kept = gathered(heard)
    case = kept.get(("case", STORY.case), {})
    uploads = {each: kept.get(("upload", each), {}) for each in (STORY.first, STORY.second)}
    return (
        case_view(case, uploads, NAMES, cut=False),
        *(upload_view(each, facts, case if case_of(facts) else {}) for each, facts in uploads.items()),
    )


@given(st.permutations(HEARD))
def test_facts_in_any_order_show_the_same(order):
    assert shown(order) == shown(HEARD)


@given(st.lists(st.sampled_from(HEARD)))
def test_any_part_of_the_events_can_be_shown(part):
    case, *uploads = shown(part)
    assert case is None or case.case_id == STORY.case
    assert all(upload is None or upload.clinic_id == "clinic" for upload in uploads)


def test_a_case_shows_its_last_phase_its_owner_and_what_it_is_open_for():
    case, _, _ = shown(HEARD)
    assert (case.phase, case.owner, case.rounds) == ("acknowledged", "ann", 2)
    assert (case.priority, case.headline) == (Priority.RED, "Anterior STEMI (V2, V3)")
    assert (case.age_y, case.sex, case.clinic, case.centre_id) == (61, "M", "Test Clinic", "centre")
    assert [upload.upload_id for upload in case.uploads] == [STORY.first, STORY.second]
    assert case.uploads[1].assessment.findings[0].title == "Anterior STEMI"


def test_a_case_that_is_raised_after_it_was_taken_in_hand_is_open_again():
    raised = [each for each in HEARD if each[0].type == "CaseRaised"]
    before = [each for each in HEARD if each[0].type in {"CaseOpened", "UploadAssessed"}]
    acknowledged = [(fact.model_copy(update={"sequence": 4}), event) for fact, event in HEARD if fact.type == "Acknowledged"]
    assert shown([*before, *acknowledged])[0].phase == "acknowledged"
    assert shown([*acknowledged, *raised, *before])[0].phase == "opened"
    assert shown([*acknowledged, *raised, *before])[0].owner is None


def test_every_figure_of_a_case_names_an_event_of_its_timeline():
    case, first, second = shown(HEARD)
    ids = {entry.event_id for entry in case.timeline}
    assert set(case.sources) >= set(CaseSummary.model_fields) - {"case_id", "sources", "clinic", "hand_over"}
    assert set(case.sources.values()) <= ids
    assert {upload.assessment.event_id for upload in case.uploads} <= ids
    assert {message.event_id for upload in (first, second) for message in upload.messages} <= ids
    assert second.case.event_id in ids


def test_a_timeline_holds_every_event_once_in_order_with_its_topic_and_cause():
    timeline = shown(HEARD)[0].timeline
    assert [entry.event_id for entry in timeline] == [fact.event_id for fact, _ in HEARD]
    assert all(entry.text and "\n" not in entry.text and STORY.key not in entry.text for entry in timeline)
    assert {entry.topic for entry in timeline} == {"intake.emergency.v1", "assessments.emergency.v1", "cases.v1"}


def test_a_finding_is_shown_in_both_languages_on_the_case_and_on_the_upload():
    case, _, upload = shown(HEARD)
    for timeline in (case.timeline, upload.timeline):
        (line,) = [entry.text for entry in timeline if entry.type == "Assessed" and "red" in entry.text]
        assert line == "assessed red: Anterior STEMI 前壁心肌梗死"
    assert case.uploads[1].assessment.findings[0].title_zh == upload.assessment.findings[0].title_zh == "前壁心肌梗死"


def test_an_upload_goes_from_received_over_assessed_to_in_hand():
    def state(*kinds):
        return shown([each for each in HEARD if each[0].type in kinds])[2].state

    assert state("EcgUploaded") == "received"
    assert state("EcgUploaded", "Assessed", "UploadAssessed", "CaseOpened") == "assessed"
    assert state("EcgUploaded", "Assessed", "UploadAssessed", "CaseOpened", "Acknowledged") == "in_hand"
    assert state("EcgUploaded", "CaseSettled") == "received"


def test_an_upload_of_which_no_case_was_opened_has_none():
    *_, second = shown([each for each in HEARD if each[0].type in {"EcgUploaded", "UploadReceived", "UploadAssessed"}])
    assert second.case is None


def test_the_clinic_is_told_what_was_said_to_it_and_not_whom_was_paged():
    _, first, second = shown(HEARD)
    assert [message.text for message in first.messages] == ["Record again: leads V1 to V6 are missing"]
    assert [message.text for message in second.messages] == ["URGENT: call 555-0100 now."]
    assert "PageRequested" not in {entry.type for entry in (*first.timeline, *second.timeline)}


def test_the_first_assessment_of_an_upload_stands():
    fact, event = next(each for each in HEARD if each[0].type == "Assessed")
    later = fact.model_copy(update={"event_id": STORY.press, "at": fact.at.replace(year=2027)})
    assert shown([(later, event), *HEARD])[1].assessment.event_id == fact.event_id


def test_pages_and_refusals_belong_to_the_case_alone_and_are_those_of_which_the_oldest_go_first():
    repeating = {fact.type for fact, event in HEARD if [(place.of, place.repeating) for place in places_of(event)] == [("case", True)]}
    assert repeating == {"PageRequested", "NoticeReported", "CommandRefused"}
    of_life = Life().heard()
    assert {fact.type for fact, event in of_life if any(place.repeating for place in places_of(event))} == {
        "PageRequested",
        "NobodyOnCall",
        "NoticeReached",
        "NoteRequested",
    }


def test_what_a_person_has_seen_is_the_last_raise_that_is_known_whatever_came_after_it():
    """Events come in any order: one that is known after a raise does not mean that the raise was shown."""
    raised = next(fact.sequence for fact, _ in HEARD if fact.type == "CaseRaised")
    opened = next(fact.sequence for fact, _ in HEARD if fact.type == "CaseOpened")
    assert shown(HEARD)[0].seen == raised
    assert shown([each for each in HEARD if each[0].type != "CaseRaised"])[0].seen == opened


def test_a_case_that_was_opened_unread_says_why_it_cannot_be_judged_once_that_is_known():
    def known_at(sequence: int, kind: str) -> tuple[Fact, Told]:
        fact, event = next(each for each in HEARD if each[0].type == kind)
        told = event.model_copy(update={"headline": f"by {kind}"})
        return fact.model_copy(update={"sequence": sequence, "told": told.model_dump_json()}), told

    opened, judged = known_at(1, "CaseOpened"), known_at(2, "UploadAssessed")
    assert shown([opened])[0].headline == "by CaseOpened"
    case, *_ = shown([judged, opened])
    assert (case.headline, case.sources["headline"]) == ("by UploadAssessed", judged[0].event_id)
    assert case.seen == 1
