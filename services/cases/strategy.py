"""The strategy clock: whether the wire can be across in time, or lysis is proposed. A physician chooses."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from contracts.cases import StrategyProposed
from contracts.directory import Centre, Clinic, Directory
from contracts.ids import CentreId, ClinicId
from contracts.vocabulary import Diagnosis, Priority, Strategy
from services.cases.decision import Decision
from services.cases.state import Case

LIMIT_MIN = 120  # first contact to wire
LEAVING_MIN = 30  # from door in to door out of the clinic: what the guideline allows at most
MAX_REASON = 300
INFARCTION = frozenset({Diagnosis.STEMI, Diagnosis.STEMI_EQUIVALENT})  # for which the clock runs
IN_WORDS = MappingProxyType({Strategy.PRIMARY_PCI: "primary PCI", Strategy.LYSIS: "lysis", Strategy.CONSERVATIVE: "no reperfusion"})


@dataclass(frozen=True)
class Proposal:
    strategy: Strategy
    contact_to_wire_min: int | None  # expected; None where the travel time is not known
    contact_to_bolus_min: int | None  # expected; None where the clinic gives no lysis
    limit_min: int
    reason: str  # at most 300 characters, with both figures


def propose_strategy(decision: Decision, *, is_other_way: bool = False) -> None:
    """Say what the clock allows by now, for the case that it is an infarction; is_other_way: to another centre.

    Said again only where it is another strategy, or counts from another first contact; the owner, who may be on their way, is told of the former."""
    state = decision.state
    if not _is_awaited(state):
        return
    upload, _ = decision.paged_for()
    centre_id, _ = decision.centre()
    told = (each.first_contact_at for each in state.of_course if each.first_contact_at is not None)
    first_contact_at = min((state.called_from or upload.received_at, *told))
    proposal = propose(decision.directory, upload.clinic_id, centre_id, first_contact_at, decision.at)
    if not is_other_way and (proposal.strategy, first_contact_at) == (state.proposed, state.proposed_from):
        return
    decision.add(
        StrategyProposed(
            **decision.of_case,
            strategy=proposal.strategy,
            first_contact_at=first_contact_at,
            contact_to_wire_min=proposal.contact_to_wire_min,
            contact_to_bolus_min=proposal.contact_to_bolus_min,
            limit_min=proposal.limit_min,
            reason=proposal.reason,
            directory_version=decision.directory.version,
        )
    )
    if state.proposed not in {None, proposal.strategy}:
        decision.tell_owner(f"Now {IN_WORDS[proposal.strategy]} is proposed, not {IN_WORDS[state.proposed]} any more: {proposal.reason}")


def _is_awaited(state: Case) -> bool:
    """Return whether a physician is still to choose: no strategy was chosen or begun, the patient is at the clinic, and it may be an infarction."""
    is_begun = state.is_chosen or state.is_lysed or state.moved is not None
    may_be = state.diagnosis is None or state.diagnosis in INFARCTION or state.has_news
    return state.is_open and state.priority is Priority.RED and not is_begun and may_be


def propose(directory: Directory, clinic_id: ClinicId, centre_id: CentreId, first_contact_at: datetime, at: datetime) -> Proposal:
    """Return primary PCI where first contact to wire is expected within 120 min, else lysis where the clinic gives it.

    The limit is the ESC's (Guidelines for acute coronary syndromes 2023: primary PCI if the wire can cross within 120 min, else lysis, its bolus
    within 10 min of the decision, which is the clinic's lysis_min); the 30 min for leaving the clinic are the longest door-in-door-out time that
    guidelines accept. Minutes that have begun count whole."""
    clinic, centre = directory.clinics.get(clinic_id), directory.centres.get(centre_id)
    gone_min = max(0, math.ceil((at - first_contact_at) / timedelta(minutes=1)))
    wire_min, wire = _to_wire(clinic, centre, centre_id, gone_min)
    bolus_min, bolus = _to_bolus(clinic, gone_min)
    if wire_min is None:
        strategy, why = Strategy.PRIMARY_PCI, "primary PCI, for the way is not known"
    elif wire_min <= LIMIT_MIN:
        strategy, why = Strategy.PRIMARY_PCI, f"primary PCI is within {LIMIT_MIN} min"
    elif bolus_min is None:
        strategy, why = Strategy.PRIMARY_PCI, f"primary PCI takes more than {LIMIT_MIN} min, but no lysis is given there"
    else:
        strategy, why = Strategy.LYSIS, f"lysis, for primary PCI takes more than {LIMIT_MIN} min"
    return Proposal(strategy, wire_min, bolus_min, LIMIT_MIN, f"{why}. First contact to wire: {wire}; to lysis bolus: {bolus}"[:MAX_REASON])


def _to_wire(clinic: Clinic | None, centre: Centre | None, centre_id: CentreId, gone_min: int) -> tuple[int | None, str]:
    travel_min = clinic.travel_min.get(centre_id) if clinic else None
    if travel_min is None or centre is None:
        return None, f"not known, for the travel time to {centre_id} is not known"
    leaving_min = LEAVING_MIN if travel_min > 0 else 0  # at 0 the patient is there
    total_min = gone_min + leaving_min + travel_min + centre.arrival_to_wire_min
    return total_min, f"{total_min} min ({gone_min} gone, {leaving_min} to leave, {travel_min} on the way, {centre.arrival_to_wire_min} from arrival)"


def _to_bolus(clinic: Clinic | None, gone_min: int) -> tuple[int | None, str]:
    if clinic is None or clinic.lysis_min is None:
        return None, "none, for no lysis is given there"
    total_min = gone_min + clinic.lysis_min
    return total_min, f"{total_min} min ({gone_min} gone, {clinic.lysis_min} from the decision)"
