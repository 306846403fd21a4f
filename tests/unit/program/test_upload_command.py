"""`greenchannel upload`: each file is sent or told of, in their order, and what was not accepted is said last."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from services.edge import uploader
from services.program.cli import app


class _Gateway(http.server.BaseHTTPRequestHandler):
    """Takes what comes; `late` only once another was taken, and `refused` not."""

    taken: ClassVar[threading.Event]
    bodies: ClassVar[list[bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        if b"late" in body:
            self.taken.wait(30)
        status, told = 202, {"upload_id": "u", "lane": "emergency", "unknown_facts": [], "received_at": "2026-03-01T12:00:00Z"}
        if b"refused" in body:
            status, told = 503, {"title": "Away for the moment", "detail": "kafka cannot be reached."}
        content = json.dumps(told | {"standing_number": "555-0100"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.taken.set()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def _serving(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    _Gateway.taken, _Gateway.bodies = threading.Event(), []
    monkeypatch.chdir(tmp_path)
    for name in ("late", "prompt", "refused"):
        Path(f"{name}.dcm").write_text(name)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GREENCHANNEL_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("GREENCHANNEL_TOKEN", "t")
        yield
        server.shutdown()


def upload(*words: str):
    return CliRunner().invoke(app, ["upload", *words, "--clinic", "demo-clinic"])


def test_a_mistyped_name_holds_up_no_other_and_each_file_has_its_line_in_order():
    done = upload("late.dcm", "mistype.dcm", "prompt.dcm", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["file"], each["upload_id"]) for each in told] == [("late.dcm", "u"), ("mistype.dcm", None), ("prompt.dcm", "u")]
    assert (told[1]["error"], done.exit_code) == ("is not there", 1)


def test_the_last_line_says_what_was_not_sent_and_whom_to_call():
    done = upload("mistype.dcm", "prompt.dcm")
    assert (done.exit_code, done.stdout.split()) == (1, ["u"])
    *_, last = done.stderr.splitlines()
    assert last.startswith("NOT SENT: mistype.dcm.")
    assert "tell the centre by telephone, 555-0100, of the patient" in last


def test_who_gives_up_is_told_the_number_that_the_refusal_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploader.upload, "__kwdefaults__", uploader.upload.__kwdefaults__ | {"give_up_after_s": 0.0})
    monkeypatch.setattr(uploader.upload_all, "__kwdefaults__", uploader.upload_all.__kwdefaults__ | {"give_up_after_s": 0.0})
    emergency, routine = upload("refused.dcm"), upload("refused.dcm", "--routine")
    assert "NOT SENT: refused.dcm." in emergency.stderr
    assert "tell the centre by telephone, 555-0100, of the patient" in emergency.stderr
    assert "NOT SENT: refused.dcm." in routine.stderr
    assert "telephone" not in routine.stderr
    assert (emergency.exit_code, routine.exit_code) == (1, 1)


def test_when_all_is_sent_nothing_more_is_said_than_that():
    done = upload("prompt.dcm")
    assert (done.exit_code, "NOT SENT" in done.stderr) == (0, False)


def test_first_contact_and_complaint_go_with_the_recording():
    assert upload("prompt.dcm", "--first-contact", "2026-03-01T11:50+08:00", "--complaint", "chest_pain").exit_code == 0
    said = dict(re.findall(rb'name="(\w+)"\r\n\r\n([^\r]*)\r\n', _Gateway.bodies[0]))
    assert (said[b"first_medical_contact"], said[b"complaint"]) == (b"2026-03-01T11:50:00+08:00", b"chest_pain")


@pytest.mark.parametrize("words", [("--first-contact", "soon"), ("--complaint", "pain")])
def test_a_time_or_a_complaint_that_there_is_not_is_a_usage_error_and_nothing_is_sent(words):
    assert (upload("prompt.dcm", *words).exit_code, _Gateway.bodies) == (2, [])
