"""What follows from a message about a case. Pure: the time and the directory are given, ids are made elsewhere.

Every message leaves at least one event: what is not done is refused, in the open."""

from typing import assert_never

from contracts.assessments import Assessed
from contracts.cases import CaseEvents
from contracts.commands import (
    AcceptHandOver,
    AcceptReferral,
    Acknowledge,
    ActivateLab,
    CancelActivation,
    ChooseStrategy,
    CloseCase,
    CloseStoodDown,
    Commands,
    Confirm,
    DeclineHandOver,
    ExpireHandOver,
    FinishReading,
    LinkCase,
    OfferHandOver,
    OpenUnread,
    PageAgain,
    PageForReading,
    RecordArrival,
    RecordDeparture,
    RecordTreatment,
    ReleaseOwner,
    RemindOwner,
    Say,
    StandDown,
    TakeOver,
    TellClinicToCall,
    TryNextMethod,
)
from contracts.deliveries import NoticeDelivered, NoticeFailed, NoticeOpened, NoticeSent, NoticeUnknown
from contracts.directory import Directory
from contracts.intake import EcgUploaded
from services.cases import care, escalation, hand_over, uploads
from services.cases.decision import Decision, Heard
from services.cases.state import Case


def decide(state: Case, heard: Heard, directory: Directory) -> list[CaseEvents]:
    """Return what follows from one message, never nothing."""
    decision, told = Decision(state, heard, directory), heard.told
    match told:
        case EcgUploaded():
            uploads.receive(decision, told)
        case Assessed():
            uploads.assess(decision, told)
        case NoticeSent() | NoticeDelivered() | NoticeOpened() | NoticeFailed() | NoticeUnknown():
            escalation.report(decision, told)
        case _:
            _command(decision, told)
    return decision.events


def _command(decision: Decision, told: Commands) -> None:  # noqa: C901, PLR0912 - a table: two lines a command
    match told:
        case OpenUnread():
            uploads.open_unread(decision, told)
        case PageForReading():
            uploads.page_for_reading(decision, told)
        case FinishReading():
            uploads.finish_reading(decision, told)
        case PageAgain():
            escalation.page_again(decision, told)
        case TryNextMethod():
            escalation.try_next_method(decision, told)
        case RemindOwner():
            escalation.remind_owner(decision, told)
        case ReleaseOwner():
            escalation.release_owner(decision, told)
        case TellClinicToCall():
            escalation.tell_clinic_to_call(decision, told)
        case TakeOver():
            hand_over.take_over(decision, told)
        case OfferHandOver():
            hand_over.offer(decision, told)
        case AcceptHandOver():
            hand_over.accept(decision, told)
        case DeclineHandOver():
            hand_over.decline(decision, told)
        case ExpireHandOver():
            hand_over.expire(decision, told)
        case _:
            _care(decision, told)


def _care(  # noqa: C901, PLR0912 - a table: two lines a command
    decision: Decision,
    told: Acknowledge
    | Confirm
    | StandDown
    | ChooseStrategy
    | AcceptReferral
    | ActivateLab
    | CancelActivation
    | RecordDeparture
    | RecordArrival
    | RecordTreatment
    | CloseCase
    | CloseStoodDown
    | LinkCase
    | Say,
) -> None:
    match told:
        case Acknowledge():
            care.acknowledge(decision, told)
        case Confirm():
            care.confirm(decision, told)
        case StandDown():
            care.stand_down(decision, told)
        case ChooseStrategy():
            care.choose_strategy(decision, told)
        case AcceptReferral():
            care.accept_referral(decision, told)
        case ActivateLab():
            care.activate_lab(decision, told)
        case CancelActivation():
            care.cancel_activation(decision, told)
        case RecordDeparture():
            care.record_departure(decision, told)
        case RecordArrival():
            care.record_arrival(decision, told)
        case RecordTreatment():
            care.record_treatment(decision, told)
        case CloseCase():
            care.close_case(decision, told)
        case CloseStoodDown():
            care.close_stood_down(decision, told)
        case LinkCase():
            care.link_case(decision, told)
        case Say():
            care.say(decision, told)
        case _:
            assert_never(told)
