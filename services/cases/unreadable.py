"""A state that this version cannot read, because another wrote it or it is damaged. The log has what it was made of."""

import json

from pydantic import ValidationError

from contracts.ids import CaseId, PatientKey
from services.cases.state import Case
from services.runtime.errors import GreenchannelError


class StateUnreadable(GreenchannelError):
    """args: the case, its patient's key; None where even that cannot be told."""

    def __init__(self, case_id: CaseId, patient_key: PatientKey | None) -> None:
        super().__init__(case_id, patient_key)
        self.case_id, self.patient_key = case_id, patient_key

    def __str__(self) -> str:
        return f"the state of case {self.case_id} was written by another version, or is damaged; `greenchannel ops rebuild` folds all from the log"


def read_state(case_id: CaseId, state: bytes) -> Case:
    """Raises StateUnreadable."""
    try:
        return Case.model_validate_json(state)
    except ValidationError as error:
        raise StateUnreadable(case_id, _patient_key(state)) from error


def _patient_key(state: bytes) -> PatientKey | None:
    try:
        held = json.loads(state)
    except ValueError:
        return None
    return held["patient_key"] if isinstance(held, dict) and isinstance(held.get("patient_key"), str) else None
