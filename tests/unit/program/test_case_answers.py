"""`greenchannel case` where the answer is not a plain yes: what is not known, refused or cut short is told as that."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from click.testing import Result
from typer.testing import CliRunner

from services.ops.synthetic_patient import Pattern
from services.program import case_commands
from services.program.cli import PatternName, app

ID, OLD = str(UUID(int=1)), "abcdef01-0000-0000-0000-000000000000"
SUMMARY = {"phase": "opened", "priority": "red", "headline": "STEMI", "clinic_id": "clinic", "age_y": 61, "sex": "M"}
READING = {"case_id": ID, "upload_id": ID, "read_by": "2026-03-01T03:00:00+00:00", "overdue": True} | SUMMARY


class _Console(http.server.BaseHTTPRequestHandler):
    """Answers commands as it is told, and lists so many cases, the oldest of which is OLD."""

    answer: tuple[int, dict[str, Any]] | None
    cases: int
    more_readings: bool
    asked: int

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if self.path.startswith("/v1/readings"):
            self._answer(200, {"readings": [READING], "more": self.more_readings})
            return
        start, limit = int(asked.get("cursor", ["0"])[0]), int(asked["limit"][0])
        assert 1 <= limit <= 200
        end = min(start + limit, self.cases)
        ids = [OLD if number == self.cases - 1 else str(UUID(int=number + 2**100)) for number in range(start, end)]
        self._answer(200, {"cases": [SUMMARY | {"case_id": each} for each in ids], "next": str(end) if end < self.cases else None})

    def do_POST(self) -> None:
        type(self).asked += 1
        if self.answer is not None:
            self._answer(*self.answer)

    def _answer(self, status: int, told: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    _Console.answer, _Console.cases, _Console.more_readings, _Console.asked = (500, {}), 1, False, 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Console)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GREENCHANNEL_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("GREENCHANNEL_TOKEN", "t")
    yield lambda *words: CliRunner().invoke(app, ["case", *words], env={"COLUMNS": "200"})
    server.shutdown()


NOT_KNOWN = {
    "on its way": (202, {"case_id": ID, "command_id": ID, "outcome": None, "event_id": None}),
    "no answer": None,
    "away": (503, {"title": "Away", "detail": "kafka is away."}),
    "a proxy's error": (504, {}),
}


@pytest.mark.parametrize("answer", NOT_KNOWN.values(), ids=NOT_KNOWN)
@pytest.mark.parametrize("words", [("confirm", ID, "--diagnosis", "stemi"), ("link", ID, OLD), ("read", ID, ID)], ids=lambda words: words[0])
def test_what_is_not_known_to_be_done_ends_with_status_3_and_says_where_to_look(case, words, answer):
    _Console.answer = answer
    done, as_json = case(*words), case(*words, "--json")
    assert (done.exit_code, done.stdout, as_json.exit_code) == (3, "", 3)
    assert f"case show {ID}" in done.stderr
    told = json.loads(as_json.stdout)
    assert (told["case_id"], told["outcome"]) == (ID, None)


def test_the_help_says_what_the_statuses_mean(case):
    assert "3 asked, and not known yet whether it was done" in case("--help").stdout


def test_a_refusal_is_a_document_for_who_asks_for_json_and_status_1(case):
    _Console.answer = (409, {"title": "The case refused", "detail": "bob has it in hand."})
    done = case("ack", ID, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"error": "The case refused: bob has it in hand.", "status": 409}
    assert "bob has it in hand" in done.stderr


def test_a_server_that_was_not_reached_was_not_asked(case, monkeypatch):
    monkeypatch.setenv("GREENCHANNEL_URL", "http://127.0.0.1:1")
    done = case("ack", ID)
    assert (done.exit_code, "does not answer" in done.stderr) == (1, True)


def test_a_list_that_was_cut_says_so_and_how_to_see_the_rest(case):
    _Console.cases = 51
    cut = case("list", "--json")
    assert len(cut.stdout.splitlines()) == 50
    assert "there are more" in cut.stderr
    assert "case list --all" in cut.stderr
    whole = case("list", "--json", "--all")
    assert [json.loads(line)["case_id"] for line in whole.stdout.splitlines()][-1] == OLD
    assert whole.stderr == ""
    _Console.cases = 50
    assert case("list").stderr == ""
    _Console.cases = 450
    assert len({json.loads(line)["case_id"] for line in case("list", "--json", "--all").stdout.splitlines()}) == 450


def test_a_list_without_end_is_ended_and_said_to_be(case, monkeypatch):
    monkeypatch.setattr(case_commands, "ALL_AT_MOST", 300)
    _Console.cases = 301
    done = case("list", "--json", "--all")
    assert (len(done.stdout.splitlines()), "there are more" in done.stderr) == (300, True)


def test_a_reading_list_that_was_cut_says_so(case):
    assert "more" not in case("readings").stderr
    _Console.more_readings = True
    assert "there are more" in case("readings").stderr
    assert len(case("readings", "--json").stdout.splitlines()) == 1


def test_a_short_id_is_looked_for_behind_the_first_page_and_not_for_ever(case):
    _Console.answer = (200, {"case_id": OLD, "command_id": ID, "outcome": "acknowledged", "event_id": ID})
    _Console.cases = case_commands.SEARCHED_AT_MOST
    assert case("ack", OLD[:6]).exit_code == 0
    _Console.cases += 1
    done = case("ack", OLD[:6])
    assert (done.exit_code, _Console.asked) == (1, 1)
    assert "give the whole id" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("say", ID, " "), "it is empty"),
        (("stand-down", ID, "--reason", ""), "it is empty"),
        (("strategy", ID, "lysis", "--reason", ""), "it is empty"),
        (("say", ID[:8], "Given", "--as-clinic"), "is not a whole id"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_and_nothing_is_asked(case, words, said):
    done = case(*words)
    assert (done.exit_code, _Console.asked) == (2, 0)
    assert said in done.stderr


@pytest.mark.parametrize(
    "words", [("upload", "x.dcm", "--clinic", "c", "--sex", "Z"), ("triage", "x.dcm", "--sex", "Q"), ("synth", "-o", "x", "--pattern", "foo")]
)
def test_a_sex_or_a_pattern_that_there_is_not_is_a_usage_error(words):
    assert CliRunner().invoke(app, list(words)).exit_code == 2


def test_every_pattern_can_be_asked_for():
    assert get_args(PatternName) == tuple(Pattern)
