"""Two groups share the events of cases: each has a reader, and what is urgent stands behind nothing that can wait."""

import pytest

from contracts.topics import CASES
from contracts.vocabulary import Priority
from services.console.asking import COMMANDS
from services.console.groups import is_rest, is_urgent
from tests.unit.console.story import Story

STORY = Story()


def headers(kind: str, priority: Priority | None) -> list[tuple[str, bytes]]:
    return [("ce_type", kind.encode()), *([("ce_priority", priority.value.encode())] if priority else [])]


@pytest.mark.parametrize("priority", [*Priority, None])
def test_every_event_of_a_case_is_read_by_exactly_one_group(priority: Priority | None):
    for event in CASES.events:
        assert is_urgent(headers(event.__name__, priority)) is not is_rest(headers(event.__name__, priority))


def test_a_campaigns_answers_wait_and_what_people_are_called_for_does_not():
    for kind in ("UploadAssessed", "ClinicAnswered", "ReadingListed"):
        assert is_rest(headers(kind, Priority.GREEN))
        assert is_rest(headers(kind, Priority.YELLOW))
    of_story = [record.headers for topic, record in STORY.told if topic is CASES]
    assert of_story
    assert all(is_urgent(each) for each in of_story)


def test_what_a_person_did_and_waits_for_does_not_stand_behind_a_campaign():
    for _, done in COMMANDS.values():
        assert is_urgent(headers(done.__name__, Priority.YELLOW))
    assert is_urgent(headers("CommandRefused", Priority.YELLOW))


def test_what_does_not_say_that_it_is_rest_and_what_ends_a_case_are_urgent():
    assert is_urgent(headers("UploadReceived", None))
    assert is_urgent(headers("CaseSettled", Priority.GREEN))
    assert is_urgent(headers("CaseClosed", Priority.YELLOW))
    assert is_urgent([])
