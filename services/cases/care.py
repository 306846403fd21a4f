"""What people ask of a case: who has it in hand, what it is, where the patient is. Outside its phase a command is refused, with the reason."""

from datetime import datetime, timedelta

from contracts.cases import (
    Acknowledged,
    ActivationCancelled,
    CaseClosed,
    CaseLinked,
    Confirmed,
    LabActivated,
    PatientArrived,
    PatientDeparted,
    ReferralAccepted,
    RepeatAsked,
    Said,
    StoodDown,
    StrategyChosen,
    Treated,
)
from contracts.commands import (
    AcceptReferral,
    Acknowledge,
    ActivateLab,
    CancelActivation,
    ChooseStrategy,
    CloseCase,
    CloseStoodDown,
    Confirm,
    LinkCase,
    PersonsCommand,
    RecordArrival,
    RecordDeparture,
    RecordTreatment,
    Say,
    StandDown,
)
from contracts.vocabulary import Outcome, Priority, Treatment
from services.cases.decision import Decision
from services.cases.evolve import is_news_to_owner
from services.cases.hand_over import take_from
from services.cases.state import AFTERWARDS, IN_HAND, Case, Phase, Upload
from services.cases.strategy import propose_strategy
from services.cases.timers import READ_AGAIN_WITHIN
from services.cases.uploads import list_again
from services.cases.words import lab_awaits_text, lab_cancelled_reasons, taken_back_text

SEEN_AFTER = timedelta(seconds=5)  # what was raised since then cannot have been seen: two clocks, a projection, a person's eyes


def acknowledge(decision: Decision, command: Acknowledge) -> None:
    state = decision.state
    if state.phase in IN_HAND and state.owner == command.by and (state.release_at is not None or state.has_news):
        if not _has_seen_news(decision, command):
            return
        decision.add(Acknowledged(**decision.of_case, by=command.by, round=state.round))  # paged again, and still at it
        propose_strategy(decision)
    elif state.phase is Phase.OPENED:
        if _take(decision, command):
            propose_strategy(decision)
    elif state.phase in IN_HAND:
        decision.refuse(command, "you have it in hand already" if state.owner == command.by else f"{decision.name_of(state.owner)} has it in hand")
    elif state.phase is Phase.STOOD_DOWN:  # a page may be older than that
        decision.refuse(command, f"{decision.name_of(state.owner)} has stood it down: to go on with it, take it over or confirm it")
    else:
        decision.refuse(command, f"the case is {_in_words(state)}: there is nothing to acknowledge")


def confirm(decision: Decision, command: Confirm) -> None:
    is_opened, was_stood_down = decision.state.phase is Phase.OPENED, decision.state.phase is Phase.STOOD_DOWN
    if is_opened and not _take(decision, command):
        return
    if was_stood_down and decision.state.owner != command.by:
        take_from(decision, command.by, f"it was stood down, and is confirmed: {command.diagnosis.value.replace('_', ' ')}")
    if is_opened or was_stood_down or decision.state.awaits_owner:
        if _is_owners(decision, command) and _has_seen_news(decision, command):
            decision.add(Confirmed(**decision.of_case, by=command.by, diagnosis=command.diagnosis))
            if was_stood_down:
                text = taken_back_text(command.diagnosis, decision.centre()[1].standing_number)
                _say(decision, decision.paged_for()[0], text, command.by)
            propose_strategy(decision)
    else:
        decision.refuse(command, f"the case is {_in_words(decision.state)}: it can be confirmed once, by who has it in hand")


def stand_down(decision: Decision, command: StandDown) -> None:
    if decision.state.phase is Phase.OPENED and not _take(decision, command):
        return
    state = decision.state
    if state.is_activated and state.phase in IN_HAND:
        decision.refuse(command, "the lab is activated: cancel the activation first")
    elif state.phase not in IN_HAND:
        decision.refuse(command, f"the case is {_in_words(state)}: there is nothing to stand down")
    elif _is_owners(decision, command) and _has_seen_news(decision, command):
        decision.add(StoodDown(**decision.of_case, by=command.by, reason=command.reason))
        _say(decision, decision.paged_for()[0], f"Stood down: {command.reason}. If the complaint goes on, record again.", command.by)
        if state.priority is not Priority.YELLOW:  # else it is what was stood down
            list_again(decision, state.overdue, decision.at + READ_AGAIN_WITHIN)


def choose_strategy(decision: Decision, command: ChooseStrategy) -> None:
    if _is_in_hand(decision, command) and _is_owners(decision, command):
        decision.add(StrategyChosen(**decision.of_case, by=command.by, strategy=command.strategy, reason=command.reason))


def accept_referral(decision: Decision, command: AcceptReferral) -> None:
    if decision.state.is_referred:
        decision.refuse(command, "the referral was accepted before")
    elif _is_in_hand(decision, command):
        decision.add(ReferralAccepted(**decision.of_case, by=command.by, centre_id=decision.centre()[0]))


def activate_lab(decision: Decision, command: ActivateLab) -> None:
    state = decision.state
    if state.is_activated and state.phase in IN_HAND:
        decision.refuse(command, "the lab is activated already")
    elif _is_in_hand(decision, command) and _is_owners(decision, command):
        if state.diagnosis is None:
            decision.refuse(command, "it is not confirmed yet: confirm it, then activate the lab")
        else:
            centre_id, centre = decision.centre()
            decision.add(LabActivated(**decision.of_case, by=command.by, centre_id=centre_id))
            if state.moved is not Phase.ARRIVED:
                _say(decision, decision.paged_for()[0], lab_awaits_text(centre.name, centre.standing_number), command.by)


def cancel_activation(decision: Decision, command: CancelActivation) -> None:
    """The ECG is repeated, and the case is looked at again by who has it in hand, in their time or the policy goes on."""
    state = decision.state
    if not state.is_activated or state.phase not in IN_HAND:
        decision.refuse(command, f"the lab is not activated; the case is {_in_words(state)}")
    elif _is_owners(decision, command):
        upload, _ = decision.paged_for()
        decision.add(ActivationCancelled(**decision.of_case, by=command.by, reason=command.reason))
        reasons = lab_cancelled_reasons(command.reason, decision.centre()[1].standing_number)
        decision.add(RepeatAsked(**decision.of_case, upload_id=upload.upload_id, clinic_id=upload.clinic_id, reasons=reasons))


def record_departure(decision: Decision, command: RecordDeparture) -> None:
    if decision.state.moved is not None and decision.state.phase in IN_HAND:
        decision.refuse(command, f"the patient has {decision.state.moved.value} already")
    elif _is_in_hand(decision, command) and (happened_at := _happened_at(decision, command, command.happened_at)) is not None:
        decision.add(PatientDeparted(**decision.of_case, by=command.by, happened_at=happened_at))


def record_arrival(decision: Decision, command: RecordArrival) -> None:
    if decision.state.moved is Phase.ARRIVED and decision.state.phase in IN_HAND:
        decision.refuse(command, "the patient has arrived already")
    elif _is_in_hand(decision, command) and (happened_at := _happened_at(decision, command, command.happened_at)) is not None:
        decision.add(PatientArrived(**decision.of_case, by=command.by, place=command.place, happened_at=happened_at))


def record_treatment(decision: Decision, command: RecordTreatment) -> None:
    if not _is_in_hand(decision, command):
        return
    if decision.state.diagnosis is None:
        decision.refuse(command, "it is not confirmed yet: confirm it, then record the treatment")
        return
    is_on_the_spot = command.treatment is Treatment.LYSIS_BOLUS  # given at the clinic; entered after the ambulance has left, often
    happened_at = _happened_at(decision, command, command.happened_at, is_after_moves=not is_on_the_spot)
    if happened_at is not None:
        decision.add(Treated(**decision.of_case, by=command.by, treatment=command.treatment, happened_at=happened_at))


def close_case(decision: Decision, command: CloseCase) -> None:
    state = decision.state
    if state.has_news:
        decision.refuse(command, f"{_news(decision)}. Look at the case again and acknowledge it, then close it")
    elif state.phase in IN_HAND | AFTERWARDS:
        if not state.awaits_decision or _is_owners(decision, command):  # what nobody has judged is closed by nobody but who is to judge it
            decision.add(CaseClosed(**decision.of_case, by=command.by, outcome=command.outcome))
            if state.owner != command.by:
                decision.tell_owner(f"{decision.name_of(command.by)} has closed it: {command.outcome.value.replace('_', ' ')}")
    else:
        decision.refuse(command, f"the case is {_in_words(state)}: acknowledge it first" if state.is_open else f"the case is {_in_words(state)}")


def close_stood_down(decision: Decision, command: CloseStoodDown) -> None:
    if decision.state.phase is Phase.STOOD_DOWN:
        decision.add(CaseClosed(**decision.of_case, outcome=Outcome.NOT_AN_EMERGENCY))
    else:
        decision.refuse(command, f"the case is {_in_words(decision.state)}")


def link_case(decision: Decision, command: LinkCase) -> None:
    if command.other_case_id == decision.state.case_id:
        decision.refuse(command, "a case is not linked with itself")
    elif not decision.state.is_live:
        decision.refuse(command, f"the case is {_in_words(decision.state)}")
    else:
        decision.add(CaseLinked(**decision.of_case, by=command.by, other_case_id=command.other_case_id))


def say(decision: Decision, command: Say) -> None:
    state = decision.state
    of_clinic = [upload for upload in state.uploads if command.clinic_id in {None, upload.clinic_id}]
    if (command.by is None) == (command.clinic_id is None):
        decision.refuse(command, "a message is a person's or a clinic's, not both and not nobody's")
    elif not of_clinic:
        decision.refuse(command, "no upload of this case is the clinic's")
    elif not state.is_live:
        decision.refuse(command, f"the case is {_in_words(state)}: call {decision.centre()[1].standing_number} instead")
    else:
        _say(decision, of_clinic[-1], command.text, command.by)
        if command.clinic_id is not None and state.phase in IN_HAND | AFTERWARDS and is_news_to_owner(state, decision.at):
            clinic = decision.directory.clinics.get(command.clinic_id)
            decision.tell_owner(f"{clinic.name if clinic else command.clinic_id} has written to you: read it in the case, and answer")


def has_seen_all(state: Case, command: Acknowledge | Confirm | StandDown) -> bool:
    """Return whether who acknowledges could see what people are paged for now.

    One who does not say what was seen is taken by the time: a page too many is borne, a red that nobody saw is not."""
    if command.seen_sequence is not None:
        return command.seen_sequence >= state.raised_sequence
    return state.raised_at is None or command.at > state.raised_at + SEEN_AFTER


def _take(decision: Decision, command: Acknowledge | Confirm | StandDown) -> bool:
    """Take an open case in hand, and tell the others who were called; False where who asks cannot have seen what it is open for."""
    if not _has_seen_all(decision, command):
        return False
    others = {told.person_id: told.method for told in decision.state.told}
    decision.add(Acknowledged(**decision.of_case, by=command.by, round=decision.state.round))
    decision.tell(others, f"{decision.name_of(command.by)} has it in hand: {decision.paged_for()[1]}", but=command.by)
    return True


def _has_seen_news(decision: Decision, command: Acknowledge | Confirm | StandDown) -> bool:
    return not decision.state.has_news or _has_seen_all(decision, command)


def _has_seen_all(decision: Decision, command: Acknowledge | Confirm | StandDown) -> bool:
    """Return whether who asks could see what was raised last; refuse the command where they could not."""
    if has_seen_all(decision.state, command):
        return True
    decision.refuse(command, f"{_news(decision)}. Look at the case again, then acknowledge it")
    return False


def _news(decision: Decision) -> str:
    return f"new since you looked: {decision.paged_for()[1][:200]}"


def _is_in_hand(decision: Decision, command: PersonsCommand) -> bool:
    """Return whether somebody has the case in hand; refuse the command where nobody has."""
    state = decision.state
    if state.phase not in IN_HAND:
        decision.refuse(command, "nobody has it in hand: acknowledge it first" if state.phase is Phase.OPENED else f"the case is {_in_words(state)}")
    return state.phase in IN_HAND


def _is_owners(decision: Decision, command: PersonsCommand) -> bool:
    """Return whether who asks has the case in hand; refuse the command, and say who has, where they have not."""
    owner = decision.state.owner
    if owner != command.by:
        decision.refuse(command, f"{decision.name_of(owner)} has it in hand: ask them, or take it over")
    return owner == command.by


def _happened_at(decision: Decision, command: PersonsCommand, told: datetime | None, *, is_after_moves: bool = True) -> datetime | None:
    """Return when something happened; None, and the command refused, where that cannot be."""
    state, happened_at = decision.state, told or min(command.at, decision.at)
    since, what = min(upload.first_contact_at or upload.received_at for upload in state.uploads), "the first contact"
    if is_after_moves and state.moved is not None and state.moved_at is not None:
        since, what = max(since, state.moved_at), f"the patient {state.moved.value}"
    if told is not None and told < since:
        decision.refuse(command, f"that time cannot be: it is before {what}, at {since:%H:%M:%S} UTC")
        return None
    if told is not None and told > decision.at + SEEN_AFTER:
        decision.refuse(command, f"that time cannot be: it is still to come; it is {decision.at:%H:%M:%S} UTC")
        return None
    return max(happened_at, since)


def _say(decision: Decision, upload: Upload, text: str, by: str | None) -> None:
    decision.add(Said(**decision.of_case, upload_id=upload.upload_id, clinic_id=upload.clinic_id, by=by, text=text[:400]))


def _in_words(state: Case) -> str:
    return state.phase.value.replace("_", " ")
