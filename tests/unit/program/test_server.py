"""A command that cannot find or use its server says in a sentence what to do."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.program.server import Address, Refused, Server, find_server


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GREENCHANNEL_URL", "GREENCHANNEL_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("environment", "what_to_do"),
    [
        ({}, "Start a server"),
        ({"URL": "http://x"}, "set both"),
        ({"TOKEN": "t"}, "set both"),
        ({"URL": "localhost:8080", "TOKEN": "t"}, "http://host:port"),
        ({"URL": "http://x:port", "TOKEN": "t"}, "http://host:port"),
        ({"URL": "http://x", "TOKEN": "t\n"}, "copy it again"),
    ],
)
def test_an_environment_that_names_no_server_is_refused_with_what_to_set(monkeypatch, environment, what_to_do):
    for name, value in environment.items():
        monkeypatch.setenv(f"GREENCHANNEL_{name}", value)
    with pytest.raises(Refused, match=what_to_do):
        find_server(None, "clinic")


@pytest.mark.parametrize(
    ("text", "what_to_do"),
    [
        (b"url = ", "Delete it"),
        (b"\xff", "Delete it"),
        (b'url = "http://x"', "Set GREENCHANNEL_URL"),
        (b'url = "x"\nclinic_token = "t"', "http://host"),
    ],
)
def test_a_client_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path, text, what_to_do):
    (tmp_path / "client.toml").write_bytes(text)
    with pytest.raises(Refused, match=what_to_do):
        find_server(tmp_path, "clinic")


class _Starting(http.server.BaseHTTPRequestHandler):
    """What a server says that has just begun: it does not know yet; then it does."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        knows = type(self).asked > 2
        self.send_response(200 if knows else 503)
        self.end_headers()
        self.wfile.write(b'{"cases": [], "next": null}' if knows else b'{"title": "Not known yet"}')

    def log_message(self, *_: object) -> None: ...


def test_a_server_that_does_not_know_yet_is_asked_again():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Starting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = Server(Address(f"http://127.0.0.1:{server.server_port}", "t")).cases(50)
    server.shutdown()
    assert (found.entries, _Starting.asked) == ([], 3)


class _Stranger(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def stranger() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_server_that_is_not_greenchannel_is_named_and_a_proxy_is_not_asked_for_this_machine(stranger, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(Refused, match="not as Greenchannel does"):
        Server(Address(stranger, "t")).cases(50)
