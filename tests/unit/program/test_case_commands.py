"""`greenchannel case`: each command asks what the console understands, and its outcome is told in words or as JSON."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from pydantic import TypeAdapter
from rich.console import Console
from typer.testing import CliRunner

from services.console.asking import COMMANDS, Asked
from services.console.projection import places_of
from services.console.readings import ReadingView
from services.console.views import Course, case_view, summary_of
from services.console.words import in_snake_case
from services.program import show, show_case
from services.program.cli import app
from services.program.show_case import IN_WORDS
from services.program.terminal import print_line
from tests.unit.console.life import Life

READ: TypeAdapter[Asked] = TypeAdapter(Asked)
LIFE = Life(start=datetime(2026, 3, 1, 3, 2, tzinfo=UTC))
FACTS = {fact.event_id: fact for fact, event in LIFE.heard() if any(place.of == "case" for place in places_of(event))}
CASE = case_view(FACTS, {}, {}, cut=False)
ONE_LIKE_IT = f"{str(LIFE.case)[:7]}{'0' if str(LIFE.case)[7] != '0' else '1'}{str(LIFE.case)[8:]}"
READ_BY = datetime(2026, 3, 1, 3, 30, tzinfo=UTC)
READING = ReadingView(
    case_id=UUID(int=7), upload_id=UUID(int=8), centre_id="centre", clinic_id="clinic", clinic="Clinic", priority="yellow", headline="AV block II",
    age_y=70, sex="F", received_at=READ_BY - timedelta(hours=2), read_by=READ_BY, overdue=True, sources={},
)  # fmt: skip


class _Console(http.server.BaseHTTPRequestHandler):
    """What the console answers, from the same views; what was asked is read as the console reads it."""

    asked: list[tuple[str, Asked]]

    def do_GET(self) -> None:
        short = summary_of(Course(FACTS), {}).model_dump(mode="json")
        answers: dict[str, object] = {
            "/v1/cases": {"cases": [short, short | {"case_id": ONE_LIKE_IT}], "next": None},
            f"/v1/cases/{LIFE.case}": CASE.model_dump(mode="json"),
            "/v1/readings": {"readings": [READING.model_dump(mode="json")], "more": False},
        }
        self._answer(200, answers[self.path.split("?")[0]])

    def do_POST(self) -> None:
        asked = READ.validate_json(self.rfile.read(int(self.headers["content-length"])))
        case_id = self.path.split("/")[3]
        self.asked.append((case_id, asked))
        if asked.command == "accept_referral":
            self._answer(409, {"title": "The case refused", "detail": "bob has it in hand."})
        else:
            outcome = in_snake_case(COMMANDS[asked.command][1].__name__)
            self._answer(200, {"case_id": case_id, "command_id": str(UUID(int=1)), "outcome": outcome, "event_id": str(UUID(int=2))})

    def _answer(self, status: int, told: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    _Console.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Console)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GREENCHANNEL_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("GREENCHANNEL_TOKEN", "t")
    for module in (show, show_case):  # rich notes the width of whoever runs the tests when it is imported
        monkeypatch.setattr(module, "out", Console(width=200))
    yield lambda *words: CliRunner().invoke(app, ["case", *words])
    server.shutdown()


ID = str(LIFE.case)
EACH: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("ack", ID), {"command": "acknowledge"}),
    (("confirm", ID, "--diagnosis", "stemi"), {"command": "confirm", "diagnosis": "stemi"}),
    (("stand-down", ID, "--reason", "old"), {"command": "stand_down", "reason": "old"}),
    (("ack", ID, "--seen", "7"), {"command": "acknowledge", "seen": 7}),
    (("confirm", ID, "--diagnosis", "stemi", "--seen", "7"), {"command": "confirm", "diagnosis": "stemi", "seen": 7}),
    (("stand-down", ID, "--reason", "old", "--seen", "7"), {"command": "stand_down", "reason": "old", "seen": 7}),
    (("say", ID, "Aspirin 300 mg"), {"command": "say", "text": "Aspirin 300 mg"}),
    (("say", ID, "Given", "--as-clinic"), {"command": "say", "text": "Given"}),
    (("take-over", ID, "--reason", "busy"), {"command": "take_over", "reason": "busy"}),
    (("hand-over", ID, "--to", "bob"), {"command": "offer_hand_over", "to_person": "bob"}),
    (("hand-over", ID, "--to-centre", "elsewhere"), {"command": "offer_hand_over", "to_centre": "elsewhere"}),
    (("accept", ID), {"command": "accept_hand_over"}),
    (("decline", ID, "--reason", "busy"), {"command": "decline_hand_over", "reason": "busy"}),
    (("strategy", ID, "primary_pci"), {"command": "choose_strategy", "strategy": "primary_pci"}),
    (("strategy", ID, "lysis", "--reason", "ice"), {"command": "choose_strategy", "strategy": "lysis", "reason": "ice"}),
    (("activate", ID), {"command": "activate_lab"}),
    (("cancel-activation", ID, "--reason", "ST came down"), {"command": "cancel_activation", "reason": "ST came down"}),
    (("depart", ID), {"command": "record_departure"}),
    (("depart", ID, "--at", "2026-03-01T11:05+08:00"), {"command": "record_departure", "happened_at": "2026-03-01T03:05:00Z"}),
    (("arrive", ID, "lab"), {"command": "record_arrival", "place": "lab"}),
    (("treat", ID, "pci_wire"), {"command": "record_treatment", "treatment": "pci_wire"}),
    (("close", ID, "admitted"), {"command": "close", "outcome": "admitted"}),
    (("link", ID, str(UUID(int=5))), {"command": "link", "other_case_id": str(UUID(int=5))}),
]


@pytest.mark.parametrize(("words", "expected"), EACH, ids=[" ".join(words[:1] + words[2:]) for words, _ in EACH])
def test_each_command_asks_what_it_says_and_tells_its_outcome(case, words, expected):
    done, as_json = case(*words), case(*words, "--json")
    assert (done.exit_code, as_json.exit_code) == (0, 0)
    assert [(case_id, asked.model_dump(mode="json", exclude_none=True)) for case_id, asked in _Console.asked] == [(ID, expected)] * 2
    outcome = json.loads(as_json.stdout)["outcome"]
    assert done.stdout.startswith(outcome.replace("_", " "))
    assert IN_WORDS[outcome] in done.stdout


def test_every_outcome_has_words():
    assert set(IN_WORDS) == {in_snake_case(done.__name__) for _, done in COMMANDS.values()}


def test_every_command_of_the_console_can_be_typed():
    typed = {expected["command"] for _, expected in EACH}
    assert typed | {"accept_referral", "finish_reading"} == set(COMMANDS)


def test_what_the_case_refuses_is_told_with_the_reason_and_status_1(case):
    done = case("refer", ID)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "The case refused: bob has it in hand." in done.stderr


def test_the_beginning_of_an_id_is_enough_where_one_case_has_it(case):
    assert case("ack", ID[:8]).exit_code == 0
    assert [case_id for case_id, _ in _Console.asked] == [ID]
    for given, sentence in ((ID[:6], "2 of those listed"), ("ffffff", "none of those listed"), (ID[:5], "too short")):
        refused = case("ack", given)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert sentence in refused.stderr.replace("\n", " ")
    assert len(_Console.asked) == 1


def test_a_time_that_is_none_and_a_hand_over_to_nobody_are_usage_errors(case):
    assert [case("depart", ID, "--at", "noon").exit_code, case("hand-over", ID).exit_code] == [2, 2]
    assert _Console.asked == []


def test_a_time_of_day_is_todays_by_this_machine(case):
    before = datetime.now(UTC).astimezone().date()
    assert case("depart", ID, "--at", "0:01").exit_code == 0
    [(_, asked)] = _Console.asked
    local = asked.happened_at.astimezone()
    assert (local.hour, local.minute) == (0, 1)
    assert before <= local.date() <= datetime.now(UTC).astimezone().date()


def test_a_case_is_shown_with_its_clocks_both_figures_and_what_was_said(case):
    told = case("show", ID).stdout
    for words in ("the wire at 24 min", "contact to wire 70 min, limit 120 min", "contact to bolus 25 min", "strategy chosen primary_pci"):
        assert words in told
    for words in ("arrived, lab", "ann: Aspirin 300 mg", "clinic: Given.", "ALARM", f"the same patient as case {LIFE.other_case}"):
        assert words in told
    for clock in CASE.clocks:
        assert str(clock.event_id) in told
    assert json.loads(case("show", ID[:8], "--json").stdout)["wire_min"] == 24.0


def test_what_a_case_shows_is_what_is_said_to_be_seen(case):
    assert f"seen {CASE.seen}" in case("show", ID).stdout


FORGED = "ok\x1b[8m hidden \x1b[0m\r\n  10:01  dr-li: stood down\x9b2J\u202e"
IN_PLAIN = "ok[8m hidden [0m 10:01 dr-li: stood down2J"


@pytest.mark.parametrize("place", ["messages", "timeline", "headline", "stood_down_reason", "strategy_reason", "route_reason"])
def test_what_others_wrote_does_nothing_to_the_terminal_and_forges_no_line(capsys, place):
    told = CASE.model_dump(mode="json")
    lines = len(shown_of(capsys, told | {"stood_down_reason": "x", "strategy_reason": "x", "route_reason": "x"}))
    forged = told | {"stood_down_reason": "x", "strategy_reason": "x", "route_reason": "x"}
    forged |= {place: [told[place][0] | {"text": FORGED}, *told[place][1:]] if isinstance(told[place], list) else FORGED}
    found = shown_of(capsys, forged)
    assert len(found) == lines
    assert sum(IN_PLAIN in line for line in found) == 1
    assert not {"\x1b", "\r", "\x9b", "\u202e"} & set("".join(found))


def shown_of(capsys, told: dict[str, Any]) -> list[str]:
    show_case.case(told)
    return capsys.readouterr().out.split("\n")


def test_what_others_wrote_is_the_same_in_json_and_does_nothing_to_the_terminal_there_either(capsys):
    print_line({"text": FORGED, "clinic": "卫生院"})
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"text": FORGED, "clinic": "卫生院"}
    assert line.isprintable()
    assert "卫生院" in line


def test_what_is_to_be_read_is_listed_and_read_by_its_ids(case):
    assert str(READING.upload_id) in case("readings").stdout
    assert json.loads(case("readings", "--json").stdout)["upload_id"] == str(READING.upload_id)
    assert IN_WORDS["reading_done"] in case("read", str(READING.case_id)[:6], str(READING.upload_id)[:6]).stdout
    [(case_id, asked)] = _Console.asked
    assert (case_id, asked.upload_id) == (str(READING.case_id), READING.upload_id)


@pytest.mark.parametrize(("since_min", "words"), [(-12, "to be read in 12 min"), (0, "to be read in 0 min"), (5, "to be read 5 min ago")])
def test_what_is_to_be_read_says_how_long_there_is_left(capsys, since_min, words):
    show_case.readings([READING.model_dump(mode="json")], READ_BY + timedelta(minutes=since_min))
    assert words in " ".join(capsys.readouterr().out.split())
