"""A patient's whole road as its topics tell it: red, paged, said, offered to another centre and not taken, confirmed, driven, the wire at 24 min."""

from datetime import timedelta
from uuid import uuid5

from contracts import cases
from contracts.cases import CaseEvent
from contracts.ids import CaseId, EventId, notice_id
from contracts.vocabulary import Arrival, Diagnosis, Lane, Outcome, Priority, Sex, Strategy, Treatment
from tests.unit.console.story import Story


class Life(Story):
    """As Story, of one upload; `minute` is minutes from first medical contact, 2 min before the receipt."""

    def _tell(self) -> None:
        self.of_case = {"case_id": self.case, "patient_key": self.key}
        self.contact = self.start - timedelta(minutes=2)
        self.other_case = CaseId(uuid5(self.names, "other case"))
        self._open()
        self._take()
        self._treat()

    def _does(self, kind: type[CaseEvent], minute: float, cause: EventId | None = None, **fields: object) -> None:
        event = kind(at=self.contact + timedelta(minutes=minute), **self.of_case, **fields)
        cause = cause or EventId(uuid5(self.names, f"cause {len(self.told)}"))
        self._add_of_case(event, cause)

    def _open(self) -> None:
        of_upload = {"upload_id": self.first, "clinic_id": "clinic"}
        judged = {"received_at": self.start, "priority": Priority.RED, "headline": "Anterior STEMI (V2, V3)"}
        about = {"age_y": 61, "sex": Sex.MALE, "first_contact_at": self.contact}
        self._does(cases.UploadAssessed, 2.2, **of_upload, **judged, **about, lane=Lane.EMERGENCY, assessed_event=self.press)
        route = {"route_reason": "nearest with a lab", "travel_min": 14, "directory_version": "7"}
        self._does(cases.CaseOpened, 2.2, **of_upload, **judged, **route, centre_id="centre", centre_number="555-0100")
        figures = {"contact_to_wire_min": 70, "contact_to_bolus_min": 25, "limit_min": 120}
        proposed = {"strategy": Strategy.PRIMARY_PCI, "reason": "wire expected at 70 min, within 120 min"}
        self._does(cases.StrategyProposed, 2.2, **figures, **proposed, first_contact_at=self.contact)
        self._does(cases.NobodyOnCall, 2.2, centre_id="centre", rosters=("roster:night",), step=0)
        notice = {"notice_id": notice_id(self.case, "ann", "local", 1), "person_id": "ann", "method": "local", "round": 1}
        self._does(cases.PageRequested, 2.2, **notice, **of_upload, **judged)
        self._does(cases.NoticeReached, 2.3, **notice, reached=cases.Reached.DELIVERED)
        self._does(cases.NoteRequested, 2.4, **notice | {"person_id": "bob"}, text="ann has it in hand", centre_id="centre")
        self._does(cases.ClinicToldToCall, 5.2, **of_upload, number="555-0100", text="Call 555-0100 now.")

    def _take(self) -> None:
        self._does(cases.Acknowledged, 5.5, by="ann", round=1)
        self._does(cases.OwnerReleased, 5.7, owner="ann")
        self._does(cases.Acknowledged, 6, by="ann", round=1)
        self._does(cases.HandOverOffered, 6.2, by="ann", to_centre="elsewhere", accept_by=self.contact + timedelta(minutes=9))
        self._does(cases.HandOverExpired, 9, owner="ann")
        self._does(cases.HandOverOffered, 9.1, by="ann", to_person="eve", accept_by=self.contact + timedelta(minutes=11))
        self._does(cases.HandOverDeclined, 9.2, by="eve", reason="in the lab")
        self._does(cases.TakenOver, 9.3, by="bob", from_person="ann", reason="ann is in the lab")
        self._does(cases.HandOverOffered, 9.4, by="bob", to_person="ann", accept_by=self.contact + timedelta(minutes=11))
        whom = {"by": "ann", "from_person": "bob", "centre_id": "elsewhere", "centre_number": "555-0200"}
        self._does(cases.HandOverAccepted, 9.5, **whom)
        said = {"upload_id": self.first, "clinic_id": "clinic"}
        self._does(cases.Said, 9.6, **said, by="ann", text="Aspirin 300 mg,\nticagrelor 180 mg.")
        self._does(cases.Said, 9.7, **said, text="Given.")
        self._does(cases.CaseLinked, 9.8, by="ann", other_case_id=self.other_case)

    def _treat(self) -> None:
        self._does(cases.Confirmed, 10, by="ann", diagnosis=Diagnosis.STEMI)
        self._does(cases.StrategyChosen, 10.1, by="ann", strategy=Strategy.PRIMARY_PCI)
        self._does(cases.ReferralAccepted, 10.2, by="ann", centre_id="elsewhere")
        self._does(cases.LabActivated, 10.3, by="ann", centre_id="elsewhere")
        self._does(cases.ActivationCancelled, 10.4, by="ann", reason="ST came down")
        self._does(cases.Confirmed, 10.5, by="ann", diagnosis=Diagnosis.STEMI)
        self._does(cases.LabActivated, 10.6, by="ann", centre_id="elsewhere")
        self._does(cases.PatientDeparted, 11, by="ann", happened_at=self.contact + timedelta(minutes=10.8))
        self._does(cases.PatientArrived, 21, by="ann", place=Arrival.LAB, happened_at=self.contact + timedelta(minutes=20))
        self._does(cases.Treated, 24.5, by="ann", treatment=Treatment.PCI_WIRE, happened_at=self.contact + timedelta(minutes=24))
        self._does(cases.CaseClosed, 60, by="ann", outcome=Outcome.ADMITTED)

    def until(self, kind: str) -> int:
        """Return how many of the story's events there are up to the last of a kind."""
        kinds = [fact.type for fact, _ in self.heard()]
        return len(kinds) - kinds[::-1].index(kind)
