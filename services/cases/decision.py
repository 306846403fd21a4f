"""One decision in the making: each event is seen by what is decided after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.assessments import Assessed
from contracts.cases import CaseEvents, CommandRefused, HandOverAccepted, HandOverDeclined, NoteRequested
from contracts.commands import Command, Commands, PersonsCommand, Say
from contracts.deliveries import Deliveries
from contracts.directory import STANDING_NUMBER, Centre, Directory
from contracts.ids import CentreId, EventId, PersonId, UploadId, notice_id
from contracts.intake import EcgUploaded
from contracts.vocabulary import Priority
from services.cases.evolve import evolve
from services.cases.state import IN_HAND, Case, Phase, Upload

HEADLINE_LONGEST = 300

Told = EcgUploaded | Assessed | Commands | Deliveries


@dataclass(frozen=True)
class Heard:
    """A message, and when cases took it in hand."""

    message_id: EventId
    at: datetime
    told: Told


class Decision:
    """A case, a message, and what follows from it so far."""

    def __init__(self, state: Case, heard: Heard, directory: Directory) -> None:
        self.state, self.heard, self.directory = state, heard, directory
        self.events: list[CaseEvents] = []
        self.at = heard.at if state.last_at is None else max(heard.at, state.last_at)  # time never runs backwards for a case

    @property
    def of_case(self) -> dict[str, Any]:
        """The fields that every event of the case has."""
        return {"case_id": self.state.case_id, "patient_key": self.state.patient_key, "at": self.at}

    def add(self, event: CaseEvents) -> None:
        """Add an event; where an offered hand-over ends by it, and was not answered, those who were asked are told."""
        before = self.state
        self.events.append(event)
        self.state = evolve(before, event)
        if before.hand_over is not None and self.state.hand_over is None and not isinstance(event, HandOverAccepted | HandOverDeclined):
            by = self.heard.told.by if isinstance(self.heard.told, PersonsCommand) else None
            self.tell(before.asked, f"You are not asked to take it over any more: {self._what_became_of_it()}", but=by)

    def refuse(self, command: Command, reason: str) -> None:
        by = command.by if isinstance(command, PersonsCommand | Say) else None
        kind = type(command).__name__
        self.add(CommandRefused(**self.of_case, command=kind, command_id=self.heard.message_id, by=by, reason=reason[:300]))

    def tell(self, people: Mapping[PersonId, str], text: str, *, but: PersonId | None = None) -> None:
        """Tell people, each by a method, what became of it; no standing number, which only rings."""
        round_ = self.state.round + 1
        for person_id, method in people.items():
            if person_id not in {but, STANDING_NUMBER}:
                named = notice_id(self.state.case_id, person_id, method, round_)
                note = {"notice_id": named, "person_id": person_id, "method": method, "round": round_, "centre_id": self.centre()[0]}
                self.add(NoteRequested(**self.of_case, **note, text=text[:300]))

    def tell_person(self, person_id: PersonId, text: str) -> None:
        """Tell a person by the first of their methods; nobody where they are not listed any more."""
        person = self.directory.people.get(person_id)
        if person is not None:
            self.tell({person_id: next(iter(person.methods))}, text)

    def tell_owner(self, text: str) -> None:
        if self.state.owner is not None:
            self.tell_person(self.state.owner, text)

    def name_of(self, person_id: PersonId | None) -> str:
        """Return the name by which colleagues know a person on call; the id where they are not listed any more."""
        person = self.directory.people.get(person_id or "")
        return person.name if person else str(person_id)

    def _what_became_of_it(self) -> str:
        if self.state.phase is Phase.OPENED:
            return "whoever is on call is paged"
        if self.state.phase in IN_HAND:
            return f"{self.name_of(self.state.owner)} has it in hand"
        return f"the case is {self.state.phase.value.replace('_', ' ')}"

    def centre(self) -> tuple[CentreId, Centre]:
        """Return the case's centre; where it is no longer listed, the first that is: somebody always answers."""
        centre_id = self.state.centre_id
        if centre_id is None or centre_id not in self.directory.centres:
            centre_id = next(iter(self.directory.centres))
        return centre_id, self.directory.centres[centre_id]

    def paged_for(self) -> tuple[Upload, str]:
        return paged_for(self.state, self.state.upload_id)


def paged_for(state: Case, upload_id: UploadId | None) -> tuple[Upload, str]:
    """Return the upload that a page names and the reason for the page, by all that is known now; upload_id is what the case was raised for.

    A red comes first, whatever else cannot be read: its minutes count."""
    raised_for = next(upload for upload in state.uploads if upload.upload_id == upload_id)
    reds = [upload for upload in state.of_course if upload.priority is Priority.RED]
    if raised_for.priority is Priority.RED or not reds:
        return raised_for, raised_for.reason
    red = max(reds, key=lambda upload: upload.received_at)
    return red, f"{red.reason}; another recording: {raised_for.reason}"[:HEADLINE_LONGEST]
