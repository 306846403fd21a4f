"""stub"""

from dataclasses import dataclass
from contracts.vocabulary import Strategy


@dataclass(frozen=True)
class Proposal:
    strategy: Strategy
    contact_to_wire_min: int | None
    contact_to_bolus_min: int | None
    limit_min: int
    reason: str


def propose(directory, clinic_id, centre_id, first_contact_at, at):
    return Proposal(Strategy.PRIMARY_PCI, 90, 20, 120, "stub")
