"""How cases look in a terminal: what it is, who has it, its clocks, what was said, its timeline."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.program.show import clock, out, plain, priority, timeline
from services.runtime.harmless import one_line

IN_WORDS = {
    "acknowledged": "You have it in hand: nobody is paged for it any more.",
    "confirmed": "Confirmed, and yours.",
    "stood_down": "Stood down; it closes by itself if nothing follows.",
    "taken_over": "It is yours now; who had it is told.",
    "hand_over_offered": "Offered. It is yours until somebody accepts.",
    "hand_over_accepted": "It is yours now.",
    "hand_over_declined": "Declined; it stays with who offered it.",
    "strategy_chosen": "The strategy is chosen.",
    "referral_accepted": "Your centre takes the patient.",
    "lab_activated": "The catheter lab is activated.",
    "activation_cancelled": "The activation is cancelled; the clinic is asked for another ECG.",
    "patient_departed": "Noted: the patient is on the road.",
    "patient_arrived": "Noted: the patient arrived.",
    "treated": "Noted: the patient was treated.",
    "case_closed": "Closed.",
    "case_linked": "Linked. Both go on paging until one is closed.",
    "said": "Written in the case; that it was read, nobody can know.",
    "reading_done": "Noted as read.",
}


def _readable(told: Any) -> Any:
    """Return what a server told with each text as one line: what people and clinics wrote must not look like a line of ours."""
    match told:
        case dict():
            return {name: _readable(each) for name, each in told.items()}
        case list():
            return [_readable(each) for each in told]
        case str():
            return one_line(told)
        case _:
            return told


def cases(found: Sequence[dict[str, Any]], now: datetime) -> None:
    """Print the cases, each with what it is for, who has it and how long ago it was uploaded."""
    if not found:
        out.print("No case yet.")
        return
    for each in map(_readable, found):
        told = (_owner(each), _person(each), each["clinic_id"], _ago(each.get("received_at"), now))
        out.print(priority(each["priority"]), Text(each["case_id"], style="bold"), Text(each["phase"]))
        out.print(Padding(Text(f"{each['headline']}\n{', '.join(told)}"), (0, 0, 1, 4)))


def readings(found: Sequence[dict[str, Any]], now: datetime) -> None:
    """Print what is to be read, each with how long there is left."""
    if not found:
        out.print("Nothing to read.")
        return
    for each in map(_readable, found):
        left_min = int((datetime.fromisoformat(each["read_by"]) - now).total_seconds() // 60)
        due = f"in {left_min} min" if left_min >= 0 else f"{-left_min} min ago"
        out.print(priority(each["priority"]), Text(f"to be read {due}", style="bold red" if each["overdue"] or left_min < 0 else ""))
        ids = f"case {each['case_id']}  upload {each['upload_id']}"
        out.print(Padding(Text(f"{each['headline']}\n{_person(each)}, {each['clinic_id']}\n{ids}"), (0, 0, 1, 4)))


def _owner(each: dict[str, Any]) -> str:
    offered = each.get("hand_over")
    pending = f", offered to {offered['to_person'] or offered['to_centre']} until {clock(offered['accept_by'])}" if offered else ""
    return f"{each.get('owner') or 'nobody yet'}{pending}"


def _person(each: dict[str, Any]) -> str:
    age = "age unknown" if each.get("age_y") is None else f"{each['age_y']} y"
    return f"{each.get('sex') or 'sex unknown'} {age}"


def _ago(at: str | None, now: datetime) -> str:
    return f"{max(0, int((now - datetime.fromisoformat(at)).total_seconds() // 60))} min ago" if at else "upload time unknown"


def case(found: dict[str, Any]) -> None:
    """Print a case; each line of its clocks and its timeline names its event."""
    found = _readable(found)
    out.print(priority(found["priority"]), Text(f"{found['headline']}", style="bold"))
    out.print(f"case {found['case_id']}  phase {found['phase']}  owner {plain(_owner(found))}  seen {found['seen']}", highlight=False)
    for line in _decided(found):
        out.print(Text(line))
    for alarm in found["alarms"]:
        out.print(Text(f"ALARM {clock(alarm['at'])}: nobody on call at {alarm['centre_id']} ({', '.join(alarm['rosters'])})", style="bold red"))
    out.print(_clocks(found))
    for message in found["messages"]:
        out.print(Text(f"  {clock(message['at'])}  {message['by'] or message['clinic_id']}: {message['text']}"))
    timeline(found["timeline"])


def _decided(found: dict[str, Any]) -> list[str]:
    lines = [f"centre {found['centre_id']}, telephone {found['centre_number']}" + (f": {found['route_reason']}" if found["route_reason"] else "")]
    if found["diagnosis"]:
        lines.append(f"diagnosis {found['diagnosis']}")
    if found["stood_down_reason"]:
        lines.append(f"stood down: {found['stood_down_reason']}")
    if proposed := found["strategy_proposed"]:
        wire, bolus = (f"{minutes} min" if minutes is not None else "unknown" for minutes in _figures(proposed))
        lines.append(f"strategy proposed {proposed['strategy']}: contact to wire {wire}, limit {proposed['limit_min']} min; contact to bolus {bolus}")
    if found["strategy"]:
        lines.append(f"strategy chosen {found['strategy']}" + (f": {found['strategy_reason']}" if found["strategy_reason"] else ""))
    names = {"referral_centre": "referral accepted by", "lab_centre": "catheter lab activated at", "outcome": "closed,"}
    lines += [f"{words} {found[name]}" for name, words in names.items() if found[name]]
    return lines + [f"the same patient as case {each['other_case_id']}" for each in found["links"]]


def _figures(proposed: dict[str, Any]) -> tuple[int | None, int | None]:
    return proposed["contact_to_wire_min"], proposed["contact_to_bolus_min"]


def _clocks(found: dict[str, Any]) -> Table:
    title = f"minutes from {found['clocks_from'].replace('_', ' ')}" + (f"; the wire at {found['wire_min']:g} min" if found["wire_min"] else "")
    table = Table("clock", "time (UTC)", "min", "event", title=title, title_justify="left")
    for each in found["clocks"]:
        name = each["name"].replace("_", " ") + (f", {each['what'].replace('_', ' ')}" if each["what"] else "")
        table.add_row(name, clock(each["at"]), f"{each['min_from_start']:g}", Text(each["event_id"], style="dim"))
    return table


def outcome(told: dict[str, Any]) -> None:
    """Print what came of a command that was done."""
    told = _readable(told)
    words = IN_WORDS.get(told["outcome"], told["outcome"])
    out.print(f"{told['outcome'].replace('_', ' ')}: {plain(words)}  [dim]event {plain(told.get('event_id'))}[/]", highlight=False)
