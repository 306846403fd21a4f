"""The server that a command talks to: found by its data folder, or by GREENCHANNEL_URL and GREENCHANNEL_TOKEN; spoken to over HTTP."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx

DEFAULT_DATA = Path("greenchannel-data")
Who = Literal["clinic", "person"]


class Refused(Exception):
    """The command cannot be done; the sentence says why, and what to do. `status` is HTTP's, 0 where there was no answer."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence, status)
        self.sentence, self.status = sentence, status

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Address:
    url: str
    token: str


def find_server(data: Path | None, who: Who) -> Address:
    """Return where the server is and the token to show; Refused where neither a folder nor the environment names one."""
    url, token = os.environ.get("GREENCHANNEL_URL"), os.environ.get("GREENCHANNEL_TOKEN")
    if data is None and url and token:
        return Address(url.rstrip("/"), token)
    path = (data or DEFAULT_DATA) / "client.toml"
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return Address(str(told["url"]).rstrip("/"), str(told[f"{who}_token"]))
    except FileNotFoundError:
        raise Refused(
            f"{path} is not there. Start a server with `greenchannel up`, name its folder with --data, "
            "or set GREENCHANNEL_URL and GREENCHANNEL_TOKEN."
        ) from None
    except (tomllib.TOMLDecodeError, KeyError, OSError) as error:
        raise Refused(f"{path} cannot be used ({type(error).__name__}). Start the server again: it writes the file anew if you delete it.") from None


class Server:
    """One server, as the holder of one token. Every call raises Refused."""

    def __init__(self, address: Address, timeout_s: float = 10.0) -> None:
        self.url = address.url
        self._http = httpx.Client(base_url=address.url, headers={"Authorization": f"Bearer {address.token}"}, timeout=timeout_s)

    def upload(self, upload_id: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/uploads/{upload_id}")

    def cases(self, limit: int = 50) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/v1/cases", params={"limit": limit})["cases"]
        return found

    def case(self, case_id: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/cases/{case_id}")

    def command(self, case_id: str, command: str) -> dict[str, Any]:
        """Ask something of a case and return what came of it; Refused with the reason where the case refused."""
        return self._ask(
            "POST", f"/v1/cases/{case_id}/commands", params={"wait": 5}, json={"command": command}, headers={"Idempotency-Key": str(uuid4())}
        )

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Refused(f"{self.url} does not answer ({type(error).__name__}). Is `greenchannel up` running?") from None
        if answer.is_success:
            told: dict[str, Any] = answer.json()
            return told
        try:
            problem = answer.json()
            sentence = f"{problem['title']}: {problem.get('detail', '')}".rstrip(": ")
        except (ValueError, KeyError, TypeError):
            sentence = f"{self.url} answered {answer.status_code}"
        raise Refused(sentence, answer.status_code)
