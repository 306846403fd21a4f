"""The server that a command talks to: found by its data folder, or by GREENCHANNEL_URL and GREENCHANNEL_TOKEN; spoken to over HTTP."""

import os
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx

from services.edge.uploader import THIS_MACHINE
from services.runtime.harmless import one_line
from services.runtime.waiting import wait_s

DEFAULT_DATA = Path("greenchannel-data")
LOOKS_FOR_S = 20.0
A_PAGE = 200  # as many as the server gives at once
Who = Literal["clinic", "person"]


class Refused(Exception):
    """The command cannot be done; the sentence says why, and what to do. `status` is HTTP's, 0 where there was no answer."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence, status)
        self.sentence, self.status = sentence, status

    def __str__(self) -> str:
        return self.sentence


class NotKnown(Exception):
    """Something was asked of a case, and it is not known whether it was done. args: why."""


class _Unanswered(Refused):
    """It may have been heard."""


@dataclass(frozen=True)
class Listed:
    """The first of a list, and whether there is more."""

    entries: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True)
class Address:
    url: str
    token: str


def find_server(data: Path | None, who: Who) -> Address:
    """Return where the server is and the token to show; Refused where neither a folder nor the environment names one."""
    url, token = os.environ.get("GREENCHANNEL_URL"), os.environ.get("GREENCHANNEL_TOKEN")
    if data is None and (url or token):
        if not (url and token):
            raise Refused("Of GREENCHANNEL_URL and GREENCHANNEL_TOKEN only one is set: set both, or neither and name a server's folder with --data.")
        return _address(url, token, "GREENCHANNEL_URL")
    path = (data or DEFAULT_DATA) / "client.toml"
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            f"{path} is not there. Start a server with `greenchannel up`, name its folder with --data, "
            "or set GREENCHANNEL_URL and GREENCHANNEL_TOKEN."
        ) from None
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}). Ask who runs the server for a token: set GREENCHANNEL_URL and it.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise Refused(f"{path} is damaged. Delete it and start the server again: it is written anew, with new example tokens.") from None
    try:
        return _address(str(told["url"]), str(told[f"{who}_token"]), str(path))
    except KeyError as missing:
        raise Refused(
            f"{path} has no {missing.args[0]}: the example {who} is not in this server's directory. Set GREENCHANNEL_URL and GREENCHANNEL_TOKEN."
        ) from None


def _address(url: str, token: str, where: str) -> Address:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL("")
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise Refused(f"{where} names no address of a server: write it as http://host:port.")
    if not token.isascii() or not token.isprintable():
        raise Refused(f"the token of {where} is none: copy it again, whole and without blanks.")
    return Address(url.rstrip("/"), token)


def asks_proxy(url: str) -> bool:
    """Return whether a proxy of the environment may be asked: not for what runs on this machine."""
    return httpx.URL(url).host not in THIS_MACHINE


class Server:
    """One server, as the holder of one token. Every call raises Refused."""

    def __init__(self, address: Address, timeout_s: float = 10.0) -> None:
        self.url = address.url
        self._http = httpx.Client(
            base_url=address.url, headers={"Authorization": f"Bearer {address.token}"}, timeout=timeout_s, trust_env=asks_proxy(address.url)
        )

    def upload(self, upload_id: str) -> dict[str, Any]:
        return self._look(f"/v1/uploads/{upload_id}")

    def cases(self, at_most: int) -> Listed:
        """Return the newest cases of the person's centres."""
        found, cursor = list[dict[str, Any]](), dict[str, str]()
        while True:
            told = self._look("/v1/cases", params={"limit": min(A_PAGE, at_most - len(found))} | cursor)
            found += told["cases"]
            if told["next"] is None or len(found) >= at_most or cursor == {"cursor": told["next"]}:
                return Listed(found, told["next"] is not None)
            cursor = {"cursor": told["next"]}

    def case(self, case_id: str) -> dict[str, Any]:
        return self._look(f"/v1/cases/{case_id}")

    def readings(self) -> Listed:
        """Return what is to be read first, as much of it as the server tells at once."""
        told = self._look("/v1/readings", params={"limit": A_PAGE})
        return Listed(told["readings"], told["more"])

    def command(self, case_id: str, command: str, **fields: object) -> dict[str, Any]:
        """Ask something of a case and return what came of it; Refused with the reason where the case refused. Raises NotKnown."""
        asked = {"command": command} | fields
        try:
            return self._ask("POST", f"/v1/cases/{case_id}/commands", params={"wait": 5}, json=asked, headers={"Idempotency-Key": str(uuid4())})
        except Refused as refused:
            if isinstance(refused, _Unanswered) or refused.status >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise NotKnown(str(refused)) from None
            raise

    def close(self) -> None:
        self._http.close()

    def _look(self, path: str, **options: Any) -> dict[str, Any]:
        """Ask for what is there; again for a while where the server does not know it yet, as it does not just after a start."""
        until, failures = time.monotonic() + LOOKS_FOR_S, 0
        while True:
            try:
                return self._ask("GET", path, **options)
            except Refused as refused:
                if refused.status != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() >= until:
                    raise
            time.sleep(wait_s(failures))
            failures += 1

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            kind = Refused if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else _Unanswered
            raise kind(f"{self.url} does not answer ({type(error).__name__}). Is `greenchannel up` running?") from None
        try:
            told = answer.json()
            if answer.is_success and isinstance(told, dict):
                return told
            sentence = one_line(f"{told['title']}: {told.get('detail', '')}").rstrip(": ")
        except (ValueError, KeyError, TypeError):
            sentence = f"{self.url} answered {answer.status_code}, and not as Greenchannel does. Check the address."
        raise Refused(sentence, answer.status_code)
