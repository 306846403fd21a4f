"""Each kind of loss, planted in a run made by hand, is found by the checker; where none is planted, none is found."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from contracts import topics
from contracts.assessments import Assessed
from contracts.cases import Acknowledged, CaseOpened, CommandRefused, NoticeReported, PageRequested, TakenOver, UploadAssessed, UploadReceived
from contracts.deliveries import NoticeSent
from contracts.ids import CaseId, NoticeId, event_id
from tests.chaos.checker import check
from tests.chaos.journal import Accepted, Readiness
from tests.chaos.made_run import ACKNOWLEDGE, ASSESSED, CASE, OF_CASE, Made, after_s, made_run, opened, page, rounds, rung

OTHER = CaseId(UUID(int=99))


def found(made: Made) -> dict[str, int]:
    return {finding.name: len(finding.found) for finding in check(made.evidence()).findings if finding.found}


def test_a_run_in_which_nothing_is_wrong_passes():
    verdict = check(made_run().evidence())
    assert verdict.lost == 0
    assert (verdict.uploads, verdict.cases, verdict.pages, verdict.commands, verdict.kills) == (1, 1, 2, 1, 1)
    assert verdict.longest_silence_s == 30.0
    assert verdict.last_line.startswith("nothing was lost: 1 uploads accepted, 1 kills; 0 lost, ")


def test_what_lies_twice_under_one_id_is_one_event():
    made = made_run()
    made.written += made.written
    verdict = check(made.evidence())
    assert (verdict.lost, verdict.repeated_records) == (0, len(made.written) // 2)


def lose_the_upload(made: Made) -> Made:
    return made.without(Assessed, CaseOpened, UploadAssessed, UploadReceived)


def answer_with_another_id(made: Made) -> Made:
    made.journal.insert(1, Accepted(kind="accepted", at=after_s(1), serial=7, upload_id=str(UUID(int=2)), lane="emergency"))
    return made


def open_another_case(made: Made) -> Made:
    made.decided(UUID(int=5), after_s(2), opened(after_s(2)), case=OTHER)
    return made


def open_the_case_again(made: Made) -> Made:
    made.decided(UUID(int=5), after_s(50), opened(after_s(50)))
    return made


def forget_a_page(made: Made) -> Made:
    made, gone = made.without(NoticeSent), {str(rounds()[1].notice_id)}
    return replace(made, rung=[line for line in made.rung if line.notice_id not in gone])


def page_by_another_id(made: Made) -> Made:
    again = page(2, after_s(33), named=NoticeId(UUID(int=6)))
    made.decided(UUID(int=7), after_s(33), again)
    made.rung.append(rung(again, after_s(33)))
    return made


def say_something_else(made: Made) -> Made:
    made.rung.append(rung(rounds()[0], after_s(3), "RED: something else. 1 min since upload"))
    return made


def lose_the_acknowledgement(made: Made) -> Made:
    return made.without(Acknowledged)


def acknowledge_what_is_anothers(made: Made) -> Made:
    made.decided(UUID(int=9), after_s(60), Acknowledged(**OF_CASE, at=after_s(60), by="ben", round=2))
    return made


def pass_on_what_is_anothers(made: Made) -> Made:
    made.decided(UUID(int=9), after_s(60), TakenOver(**OF_CASE, at=after_s(60), by="ben", from_person="cem", reason="made"))
    return made


def decide_over_another(made: Made) -> Made:
    last = next(each for each in made.written if isinstance(each.event, Acknowledged))
    refused = CommandRefused(**OF_CASE, at=after_s(40), command="Acknowledge", command_id=event_id(CASE, "x"), reason="taken")
    made.put(topics.CASES, refused, cause=UUID(int=8), at=after_s(41), id_=UUID(int=9), sequence=last.envelope.sequence)
    return made


def lose_an_event(made: Made) -> Made:
    return made.without(NoticeReported)


def swap_two_events(made: Made) -> Made:
    report = next(each for each in made.written if isinstance(each.event, NoticeReported))
    made.written.remove(report)
    made.written.append(replace(report, offset=len(made.written) + 10))
    return made


def act_twice(made: Made) -> Made:
    refused = CommandRefused(**OF_CASE, at=after_s(60), command="Acknowledge", command_id=ACKNOWLEDGE, reason="you have it in hand already")
    made.decided(ACKNOWLEDGE, after_s(60), refused)
    return made


def hear_nothing_of_the_assessment(made: Made) -> Made:
    return replace(made, written=[each for each in made.written if each.envelope.causationid != ASSESSED])


def call_nobody(made: Made) -> Made:
    return made.without(PageRequested)


def cease_to_page(made: Made) -> Made:
    """The second round is the last, and nobody acknowledges for the rest of the run."""
    made = made.without(Acknowledged)
    made.journal = [entry for entry in made.journal if entry.kind != "answered"]
    return made


PLANTED: dict[str, tuple[Callable[[Made], Made], set[str]]] = {
    "an upload without a trace": (lose_the_upload, {"lost"}),
    "one recording, two uploads": (answer_with_another_id, {"uploads twice", "lost"}),
    "an assessment that cases did not hear": (hear_nothing_of_the_assessment, {"assessments not heard"}),
    "a red for which nobody is called": (call_nobody, {"reds not called"}),
    "a second case of the same upload": (open_another_case, {"cases twice"}),
    "a case opened again without an end": (open_the_case_again, {"cases twice"}),
    "a page of which nobody knows": (forget_a_page, {"pages never sent"}),
    "a page twice, by two ids": (page_by_another_id, {"pages twice with another id"}),
    "one id, two texts": (say_something_else, {"pages twice with another id"}),
    "an acknowledgement lost": (lose_the_acknowledgement, {"acknowledgements lost"}),
    "acknowledged by two": (acknowledge_what_is_anothers, {"owned by two"}),
    "passed on by who does not have it": (pass_on_what_is_anothers, {"owned by two"}),
    "two events at one place": (decide_over_another, {"events in conflict"}),
    "an event lost": (lose_an_event, {"sequence gaps"}),
    "two events in the wrong order": (swap_two_events, {"sequence gaps"}),
    "a message acted on twice": (act_twice, {"acted on twice"}),
    "a red case that is not paged any more": (cease_to_page, {"cases gone silent"}),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str):
    plant, names = PLANTED[what]
    made = plant(made_run())
    assert names <= found(made).keys(), found(made)
    assert check(made.evidence()).last_line.startswith("SOMETHING WAS LOST")


def test_every_column_of_loss_has_been_planted():
    planted = {name for _, names in PLANTED.values() for name in names} | {"dead letters", "unreadable"}
    assert planted == {finding.name for finding in check(made_run().evidence()).findings}


def test_dead_letters_and_what_cannot_be_read_are_losses():
    evidence = replace(made_run().evidence(), dead_letters=("commands.v1.dlq/0",), unreadable=("cases.v1/0/1",))
    assert check(evidence).lost == 2


def test_a_silence_while_a_service_was_not_ready_is_an_outage_and_no_loss():
    made = cease_to_page(made_run())
    made.journal.insert(-1, Readiness(kind="readiness", at=after_s(40), ready=False))
    verdict = check(made.evidence())
    assert (verdict.lost, verdict.longest_silence_s) == (0, 269.0)
    assert verdict.longest_silence_while_ready_s == 30.0


def test_a_page_that_was_refused_by_its_provider_does_not_break_a_silence():
    made = made_run()
    made.rung = [replace(line, taken=False) for line in made.rung]
    assert check(made.evidence()).longest_silence_s == 39.0


def test_an_upload_that_became_a_case_before_it_was_assessed_is_not_lost():
    assert "lost" not in found(made_run().without(Assessed))
