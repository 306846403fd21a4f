"""A case passed from one person to another, or to another centre: offered, accepted, declined, expired; or taken."""

from contracts.cases import HandOverAccepted, HandOverDeclined, HandOverExpired, HandOverOffered, Said, TakenOver
from contracts.commands import AcceptHandOver, DeclineHandOver, ExpireHandOver, OfferHandOver, TakeOver
from contracts.directory import people_of_centre
from contracts.ids import CentreId, PersonId
from services.cases.decision import Decision
from services.cases.escalation import page_for_hand_over
from services.cases.state import IN_HAND, Case, HandOver, Phase
from services.cases.strategy import propose_strategy
from services.cases.timers import HAND_OVER_WITHIN
from services.cases.words import lab_elsewhere_text


def take_over(decision: Decision, command: TakeOver) -> None:
    """From who has it in hand, or has stood it down: who did so may take it up again too."""
    state = decision.state
    if state.phase not in IN_HAND | {Phase.STOOD_DOWN}:
        decision.refuse(command, _nobody_has_it(state))
    elif state.owner == command.by and state.phase in IN_HAND:
        decision.refuse(command, "you have it in hand already")
    else:
        take_from(decision, command.by, command.reason)
        propose_strategy(decision)


def take_from(decision: Decision, by: PersonId, reason: str) -> None:
    """Take it from whose it is, and tell them."""
    former = decision.state.owner
    assert former is not None  # noqa: S101 - what is in hand or stood down is somebody's
    decision.add(TakenOver(**decision.of_case, by=by, from_person=former, reason=reason))
    if former != by:
        decision.tell_person(former, f"{decision.name_of(by)} has taken it over: {reason}")


def offer(decision: Decision, command: OfferHandOver) -> None:
    refusal = _why_not_offered(decision, command)
    if refusal is not None:
        decision.refuse(command, refusal)
        return
    offered = HandOverOffered(
        **decision.of_case, by=command.by, to_person=command.to_person, to_centre=command.to_centre, accept_by=decision.at + HAND_OVER_WITHIN
    )
    decision.add(offered)
    page_for_hand_over(decision, offered)


def accept(decision: Decision, command: AcceptHandOver) -> None:
    state, offered = decision.state, decision.state.hand_over
    if offered is None or state.owner is None:
        decision.refuse(command, "no hand-over of this case is offered")
    elif not _is_asked(decision, command.by):
        decision.refuse(command, f"it is offered to {_whom(decision, offered)}")
    else:
        former, before = state.owner, decision.centre()[0]
        centre_id: CentreId = offered.to_centre or before
        of_centre = {"centre_id": centre_id, "centre_number": decision.directory.centres[centre_id].standing_number}
        of_version = {"directory_version": decision.directory.version}
        others = {notice.person_id: notice.method for notice in state.notices if notice.person_id != former}
        former_name, is_lab_moved = decision.centre()[1].name, state.is_activated and centre_id != before
        decision.add(HandOverAccepted(**decision.of_case, by=command.by, from_person=former, **of_centre, **of_version))
        name = decision.name_of(command.by)
        lab = f". The lab of {former_name} is not needed any more: tell it" if is_lab_moved else ""
        decision.tell_person(former, f"{name} has accepted: it is in their hands{lab}")
        decision.tell(others, f"{name} has accepted it", but=command.by)
        if is_lab_moved:
            _tell_clinic(decision, command, former_name)
        propose_strategy(decision, is_other_way=centre_id != before)


def decline(decision: Decision, command: DeclineHandOver) -> None:
    state = decision.state
    if state.hand_over is None or state.owner is None:
        decision.refuse(command, "no hand-over of this case is offered")
    elif not _is_asked(decision, command.by):
        decision.refuse(command, f"it is offered to {_whom(decision, state.hand_over)}")
    else:
        still_asked = state.asked.keys() - {command.by}
        is_final = state.hand_over.to_centre is None or not still_asked
        decision.add(HandOverDeclined(**decision.of_case, by=command.by, reason=command.reason, is_final=is_final))
        whose = "It is still in your hands" if is_final else "Others there are still asked"
        decision.tell_owner(f"{decision.name_of(command.by)} declined: {command.reason}. {whose}")


def expire(decision: Decision, command: ExpireHandOver) -> None:
    state = decision.state
    if state.hand_over is None or state.hand_over.sequence != command.since_sequence or state.owner is None:
        decision.refuse(command, "the hand-over was answered")
    else:
        decision.add(HandOverExpired(**decision.of_case, owner=state.owner))
        decision.tell_owner("nobody accepted the hand-over: it is still in your hands")


def _why_not_offered(decision: Decision, command: OfferHandOver) -> str | None:
    state, directory = decision.state, decision.directory
    if state.phase not in IN_HAND:
        return _nobody_has_it(state)
    if state.owner != command.by:
        return f"{decision.name_of(state.owner)} has it in hand: ask them, or take it over"
    if state.hand_over is not None:
        return f"it is offered to {_whom(decision, state.hand_over)} already"
    if (command.to_person is None) == (command.to_centre is None):
        return "name a person or a centre to hand it to, one of them"
    if command.to_person is not None:
        known = command.to_person in directory.people and command.to_person != command.by
        return None if known else f"{decision.name_of(command.to_person)} cannot take it: not in the directory, or you yourself"
    known = command.to_centre in directory.centres and command.to_centre != decision.centre()[0]
    return None if known else f"{command.to_centre} cannot take it: not in the directory, or the centre that has it"


def _nobody_has_it(state: Case) -> str:
    return "nobody has it in hand: acknowledge it first" if state.is_open else f"the case is {state.phase.value.replace('_', ' ')}"


def _is_asked(decision: Decision, person_id: PersonId) -> bool:
    offered = decision.state.hand_over
    if offered is None:
        return False
    if offered.to_person is not None:
        return offered.to_person == person_id
    return offered.to_centre is not None and person_id in people_of_centre(decision.directory, offered.to_centre, decision.at)


def _whom(decision: Decision, offered: HandOver) -> str:
    centre = decision.directory.centres.get(offered.to_centre or "")
    return decision.name_of(offered.to_person) if offered.to_person else centre.name if centre else str(offered.to_centre)


def _tell_clinic(decision: Decision, command: AcceptHandOver, former_name: str) -> None:
    """Tell the clinic, which was told to bring the patient to the lab of the centre before."""
    (upload, _), (_, centre) = decision.paged_for(), decision.centre()
    text = lab_elsewhere_text(centre.name, former_name, centre.standing_number)
    decision.add(Said(**decision.of_case, upload_id=upload.upload_id, clinic_id=upload.clinic_id, by=command.by, text=text))
