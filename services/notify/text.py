"""What a notice says. It carries no identity: age, sex, clinic, finding, minutes since upload, a link. The first words say how urgent it is."""

from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from contracts.cases import NoteRequested, PageReason, PageRequested
from contracts.vocabulary import Age, Priority, Sex

LONGEST = 400
CLINIC_LONGEST = 40
FIRST_WORDS = MappingProxyType(
    {
        Priority.RED: "RED:",
        Priority.NOT_EVALUABLE: "URGENT, ECG could not be judged:",
        Priority.YELLOW: "Yellow:",
        Priority.GREEN: "Green:",
    }
)
WHY = MappingProxyType(
    {
        PageReason.STEP: "",
        PageReason.NEXT_METHOD: "",
        PageReason.NOBODY_ON_CALL: "Nobody is on call: find somebody.",
        PageReason.OWNER_SILENT: "You have it in hand, and nothing followed: confirm, stand down or hand over.",
        PageReason.REPEAT_ECG: "There is another ECG of your patient.",
        PageReason.HAND_OVER: "You are asked to take it over: accept or decline.",
    }
)
MORE_MAY_WAIT = "More may wait: see the list."  # others within ten minutes are said by this one
NOTE_TITLE = "Greenchannel"


def page_title(priority: Priority) -> str:
    """Return the line above the text, for channels that show one."""
    return "Greenchannel: " + ("RED" if priority is Priority.RED else "URGENT" if priority is Priority.NOT_EVALUABLE else priority.value)


def page_text(page: PageRequested, clinic: str, link: str, at: datetime, *, speaks_for_more: bool = False) -> str:
    """Return the text of a page, 400 characters at most where the link has less than 120: what must give way is the headline's end."""
    minutes = max(0, int((at - page.received_at).total_seconds() // 60))
    about = ", ".join(
        (
            _who(page.age_y, page.sex),
            _short(clinic, CLINIC_LONGEST),
            f"{minutes} min since upload" if minutes else "under 1 min since upload",
            f"round {page.round}",
        )
    )
    first = " ".join(filter(None, (FIRST_WORDS[page.priority], WHY[page.reason])))
    last = " ".join(filter(None, (f"{about}.", MORE_MAY_WAIT if speaks_for_more else "", _link(link, page))))
    headline = _short(page.headline, LONGEST - len(first) - len(last) - 3)
    return f"{first} {headline.rstrip('.')}. {last}"


def note_text(note: NoteRequested, link: str) -> str:
    """Return the text of what asks for no answer, 400 characters at most where the link has less than 50."""
    return f"{_short(note.text, LONGEST - len(_link(link, note)) - 1)} {_link(link, note)}"


def dead_letter_text(clinic: str | None, ids: Sequence[tuple[str, UUID]], lies: str) -> str:
    """Return the text of the alarm that a message could not be handled: ids are ("upload", its id) and the like, as far as they are known; lies is
    where it is kept: topic, partition, offset."""
    known = ", ".join(f"{what} {each}" for what, each in ids) or "no id could be read"
    whom = f"Call {_short(clinic, CLINIC_LONGEST)}" if clinic else "Call the clinics that sent an ECG just now"
    return f"RED: a message about a patient could not be handled: it lies in {lies}. {whom}, and look at it there. {known}"


def _link(link: str, asked: PageRequested | NoteRequested) -> str:
    return f"{link.rstrip('/')}/cases/{asked.case_id}"


def _who(age_y: Age | None, sex: Sex | None) -> str:
    age = "age unknown" if age_y is None else f"{age_y} y"
    return f"{sex.value} {age}" if sex else f"{age}, sex unknown"


def _short(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: max(0, longest - 1)]}…"
