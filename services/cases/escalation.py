"""Who is paged, how and when again: the escalation policy of a case's centre, one notice by one method at a time, until a person has it in hand.

A person is paged by the first of their methods; where that fails, or nothing is known of it in its time, by the next at once; where it did not ring
and nobody took the case in hand, the next round begins with one that rings. Where nobody of a
step can be reached, the next step is paged at once; after the last, the standing number, and the first step again when its time has come."""

from dataclasses import replace
from datetime import datetime

from contracts.cases import (
    ClinicToldToCall,
    HandOverOffered,
    NobodyOnCall,
    NoticeOutcome,
    NoticeReached,
    NoticeReported,
    OwnerReleased,
    PageReason,
    PageRequested,
    Reached,
)
from contracts.commands import PageAgain, ReleaseOwner, RemindOwner, TellClinicToCall, TryNextMethod
from contracts.deliveries import Deliveries, NoticeDelivered, NoticeFailed, NoticeOpened, NoticeSent, NoticeUnknown
from contracts.directory import STANDING_ALARM, STANDING_NUMBER, PolicyId
from contracts.ids import CentreId, PersonId, notice_id
from contracts.vocabulary import Priority
from services.cases.decision import Decision
from services.cases.on_call import Wave, wave
from services.cases.state import Notice, Phase
from services.cases.timers import ANSWER_WITHIN, OWNER_ANSWERS_WITHIN


def page_step(decision: Decision, step: int, *, again_at: datetime | None = None) -> None:
    """Page everybody of a step of the policy, in the next round; again_at: when it was to go on already."""
    centre_id, _ = decision.centre()
    called = _called(decision, centre_id, _policy(decision), step)
    round_ = decision.state.round + 1
    for person_id in called.people:
        reason = PageReason.NOBODY_ON_CALL if person_id == STANDING_NUMBER else PageReason.STEP
        _page(decision, person_id, round_, reason, step=step, again_at=again_at or decision.at + called.wait)


def page_owner(decision: Decision, reason: PageReason) -> None:
    """Page who has it in hand, in a round of their own."""
    owner = decision.state.owner
    if owner is not None:
        again_at = decision.at + OWNER_ANSWERS_WITHIN if reason is PageReason.OWNER_SILENT else None
        _page(decision, owner, decision.state.round + 1, reason, again_at=again_at)


def page_for_hand_over(decision: Decision, offered: HandOverOffered) -> None:
    """Page the person who is asked to take the case, or whoever is paged first at the centre that is."""
    people: tuple[PersonId, ...] = (offered.to_person,) if offered.to_person else ()
    if offered.to_centre is not None:
        people = _called(decision, offered.to_centre, decision.directory.centres[offered.to_centre].policy, 0).people
    round_ = decision.state.round + 1
    for person_id in people:
        reason = PageReason.NOBODY_ON_CALL if person_id == STANDING_NUMBER else PageReason.HAND_OVER
        _page(decision, person_id, round_, reason, centre_id=offered.to_centre)


def _called(decision: Decision, centre_id: CentreId, policy: PolicyId, step: int) -> Wave:
    """Return who is called by a step; where a roster has a gap the standing number is among them, and ops hears of it."""
    called = wave(decision.directory, policy, step, decision.at)
    if not called.gaps:
        return called
    of_gap = {"centre_id": centre_id, "rosters": called.gaps, "step": step, "directory_version": decision.directory.version}
    decision.add(NobodyOnCall(**decision.of_case, **of_gap))
    return called if STANDING_NUMBER in called.people else replace(called, people=(*called.people, STANDING_NUMBER))


def methods_of(decision: Decision, person_id: PersonId) -> tuple[str, ...]:
    """Return how a person is reached, in the order in which it is tried; nothing where they are not listed any more."""
    if person_id == STANDING_NUMBER:
        return (STANDING_ALARM,)
    person = decision.directory.people.get(person_id)
    return tuple(person.methods) if person else ()


def page_again(decision: Decision, command: PageAgain) -> None:
    if decision.state.phase is Phase.OPENED and decision.state.round == command.round:
        page_step(decision, _next_step(decision))
    else:
        decision.refuse(command, f"round {command.round} is over")


def try_next_method(decision: Decision, command: TryNextMethod) -> None:
    notice = decision.state.notice(command.notice_id)
    if notice is None or notice.answer_by is None:
        decision.refuse(command, "it is known what became of this notice")
        return
    of_notice = {"notice_id": notice.notice_id, "person_id": notice.person_id, "method": notice.method, "round": decision.state.round}
    reason = f"nothing was heard of it in {ANSWER_WITHIN.seconds} s"
    decision.add(NoticeReported(**decision.of_case, **of_notice, outcome=NoticeOutcome.UNKNOWN, reason=reason))
    _go_on(decision, notice)


def report(decision: Decision, told: Deliveries) -> None:
    """Note what became of a notice; where it did not go out, or that is not known, go on at once."""
    of_notice = {"notice_id": told.notice_id, "person_id": told.person_id, "method": told.method, "round": told.round}
    if isinstance(told, NoticeDelivered | NoticeOpened):
        reached = Reached.DELIVERED if isinstance(told, NoticeDelivered) else Reached.OPENED
        decision.add(NoticeReached(**decision.of_case, **of_notice, reached=reached))
        return
    outcome, reason = _outcome(told)
    before = decision.state.notice(told.notice_id)
    decision.add(NoticeReported(**decision.of_case, **of_notice, outcome=outcome, reason=reason))
    if before is None or before.failed or outcome is NoticeOutcome.SENT:
        return
    if before.answer_by is not None or outcome is NoticeOutcome.FAILED:  # also where the provider had taken it at first
        _go_on(decision, before)


def remind_owner(decision: Decision, command: RemindOwner) -> None:
    state = decision.state
    if state.awaits_owner and state.owned_sequence == command.since_sequence and state.hand_over is None and state.release_at is None:
        page_owner(decision, PageReason.OWNER_SILENT)
    else:
        decision.refuse(command, "the owner has decided, or it is another's by now")


def release_owner(decision: Decision, command: ReleaseOwner) -> None:
    state = decision.state
    if state.awaits_owner and state.owned_sequence == command.since_sequence and state.release_at is not None:
        _release(decision)
    else:
        decision.refuse(command, "the owner has answered, or it is another's by now")


def tell_clinic_to_call(decision: Decision, command: TellClinicToCall) -> None:
    state = decision.state
    if state.phase is Phase.OPENED and state.raised_sequence == command.since_sequence and state.call_at is not None:
        _tell_clinic(decision)
    else:
        decision.refuse(command, "somebody has it in hand, or the clinic was told")


def _page(
    decision: Decision,
    person_id: PersonId,
    round_: int,
    reason: PageReason,
    *,
    method: str | None = None,
    step: int | None = None,
    again_at: datetime | None = None,
    centre_id: CentreId | None = None,
) -> None:
    """Ask for one notice: by the method, or by the one that the person is to be paged by first."""
    state, (own_centre_id, _) = decision.state, decision.centre()
    upload, headline = decision.paged_for()
    by = method or _first_method(decision, person_id)
    decision.add(
        PageRequested(
            **decision.of_case,
            notice_id=notice_id(state.case_id, person_id, by, round_),
            person_id=person_id,
            method=by,
            round=round_,
            priority=state.priority or Priority.RED,
            headline=headline,
            clinic_id=upload.clinic_id,
            upload_id=upload.upload_id,
            received_at=state.called_from or upload.received_at,  # none: a case that was opened before this was kept
            age_y=upload.age_y,
            sex=upload.sex,
            centre_id=centre_id or own_centre_id,
            reason=reason,
            step=step,
            again_at=again_at,
            answer_by=decision.at + ANSWER_WITHIN,
            directory_version=decision.directory.version,
        )
    )


def _first_method(decision: Decision, person_id: PersonId) -> str:
    """Return a person's first method; once they were paged in vain for what cannot wait, the first that rings."""
    person, state = decision.directory.people.get(person_id), decision.state
    if person is not None and state.priority is not Priority.YELLOW and any(told.person_id == person_id for told in state.told):
        ringing = next((name for name, rings in person.methods.items() if rings), None)
        if ringing is not None:
            return ringing
    return next(iter(methods_of(decision, person_id)), "none")  # who has no method any more: notify says so, and the policy goes on


def _go_on(decision: Decision, notice: Notice) -> None:
    """Page by the person's next method; where there is none, and nobody else of the round can be reached either, go on in the policy."""
    state = decision.state
    tried = {each.method for each in state.notices if each.person_id == notice.person_id}
    method = next((each for each in methods_of(decision, notice.person_id) if each not in tried), None)
    if method is not None:
        _page(decision, notice.person_id, state.round, PageReason.NEXT_METHOD, method=method, step=state.step, again_at=state.again_at)
    elif state.hand_over is not None and notice.person_id != state.owner:
        pass  # it expires, and is the owner's meanwhile
    elif all(each.failed for each in state.notices) or (state.has_news and notice.person_id == state.owner):
        _nobody_reached(decision)


def _nobody_reached(decision: Decision) -> None:
    state = decision.state
    step = _next_step(decision)
    if state.release_at is not None or state.has_news:
        _release(decision)  # the owner cannot be reached
    elif state.phase is Phase.OPENED and not wave(decision.directory, _policy(decision), step, decision.at).begins_anew:
        page_step(decision, step)
    elif all(notice.person_id != STANDING_NUMBER for notice in state.notices):
        _page(decision, STANDING_NUMBER, state.round, PageReason.NOBODY_ON_CALL, step=state.step, again_at=state.again_at)


def _release(decision: Decision) -> None:
    """The policy goes on where it was left, and the clinic hears that nobody has it in hand."""
    owner, was_told = decision.state.owner, decision.state.call_at is None
    assert owner is not None  # noqa: S101 - who calls has seen that somebody has it in hand
    decision.add(OwnerReleased(**decision.of_case, owner=owner))
    if not was_told:
        _tell_clinic(decision)
    page_step(decision, _next_step(decision))


def _tell_clinic(decision: Decision) -> None:
    upload, _ = decision.paged_for()
    number = decision.centre()[1].standing_number
    text = f"Nobody has answered yet: call {number} now. Keep the patient lying and monitored."
    decision.add(ClinicToldToCall(**decision.of_case, upload_id=upload.upload_id, clinic_id=upload.clinic_id, number=number, text=text))


def _next_step(decision: Decision) -> int:
    return 0 if decision.state.step is None else decision.state.step + 1


def _policy(decision: Decision) -> PolicyId:
    _, centre = decision.centre()
    return centre.reading_policy or centre.policy if decision.state.priority is Priority.YELLOW else centre.policy


def _outcome(told: NoticeSent | NoticeFailed | NoticeUnknown) -> tuple[NoticeOutcome, str]:
    if isinstance(told, NoticeSent):
        return NoticeOutcome.SENT, "" if told.said_by is None else f"said by notice {told.said_by} just before"
    return (NoticeOutcome.FAILED if isinstance(told, NoticeFailed) else NoticeOutcome.UNKNOWN), told.reason
