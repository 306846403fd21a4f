"""A provider of notices that the driver plays: it takes each and writes it down, hangs, or says that it is broken."""

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HANGS_AT_MOST_S = 30.0


class Mood(StrEnum):
    TAKES = "takes"
    HANGS = "hangs"
    REFUSES = "refuses"


class Provider:
    """Its address is `json://127.0.0.1:PORT/PERSON/NOTICE`, as Apprise writes it. heard is told of each notice that it took."""

    def __init__(self, path: Path, heard: Callable[[str, str], None]) -> None:
        self.mood = Mood.TAKES
        self._file, self._turn, self._heard = path.open("ab"), threading.Lock(), heard
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._file.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = provider.answer(self.path, str(told["message"]))
                if status is not None:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
                pass

        return Handler

    def answer(self, path: str, text: str) -> int | None:
        """Return the status of the answer; None for none at all. What is taken is on the disk before."""
        person, notice_id = path.strip("/").split("/")
        mood = self.mood
        self._write(person, notice_id, text, taken=mood is Mood.TAKES)
        if mood is Mood.HANGS:
            threading.Event().wait(HANGS_AT_MOST_S)  # longer than anybody waits for it
            return None
        if mood is Mood.REFUSES:
            return 500
        self._heard(person, text)
        return 200

    def _write(self, person: str, notice_id: str, text: str, *, taken: bool) -> None:
        line = {"notice_id": notice_id, "person": person, "at": datetime.now(UTC).isoformat(), "taken": taken, "text": text}
        with self._turn:
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
