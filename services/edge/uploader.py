"""Sends recordings to a gateway over a bad line: again and again until it is accepted, refused, or the time is up.

A repeat is safe: the gateway knows the same files with the same facts when they come again."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from services.edge.recordings import NotARecording, Recording
from services.runtime.errors import GreenchannelError

AGAIN_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
LONGEST_ASKED_WAIT_S = 60.0
GIVE_UP_AFTER_S = 60.0
AT_ONCE = 4
LINE = httpx.Timeout(30.0, connect=5.0, pool=None)
THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
_NOT_A_GATEWAY = "the server answered {}, and not as a gateway does. Check the address."


@dataclass(frozen=True)
class Facts:
    """What is said of a recording; None is not said. `patient` is the clinic's own number, which the gateway stores nowhere."""

    clinic: str | None = None
    age_y: int | None = None
    sex: str | None = None
    complaint: str | None = None
    first_medical_contact: datetime | None = None
    device_time: str | None = None
    patient: str | None = field(default=None, repr=False)
    follows: str | None = None
    routine: bool = False

    def as_form(self) -> dict[str, str]:
        contact = self.first_medical_contact
        said = {
            "clinic": self.clinic,
            "age": str(self.age_y) if self.age_y is not None else None,
            "sex": self.sex,
            "complaint": self.complaint,
            "first_medical_contact": contact.isoformat() if contact else None,
            "device_time": self.device_time,
            "patient": self.patient,
            "follows": self.follows,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True)
class Accepted:
    recording: Recording
    upload_id: str
    lane: str
    standing_number: str
    unknown_facts: tuple[str, ...]
    received_at: str
    tries: int


class NotSent(GreenchannelError):
    """A recording that the gateway did not accept. `why` is a sentence for whoever sent it; `status` is HTTP's, 0 where there was no answer;
    `standing_number` is the centre's telephone, where the answer named it."""

    def __init__(self, recording: Recording, why: str, status: int, tries: int, standing_number: str | None = None) -> None:
        super().__init__(recording, why, status, tries, standing_number)
        self.recording, self.why, self.status, self.tries, self.standing_number = recording, why, status, tries, standing_number

    def __str__(self) -> str:
        return f"{self.recording.named}: {self.why}"


@dataclass(frozen=True)
class Waiting:
    """A try failed; there will be another."""

    recording: Recording
    why: str
    wait_s: float


OnWaiting = Callable[[Waiting], None]
OnSettled = Callable[[Accepted | NotSent], None]


@asynccontextmanager
async def connected(url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that keeps its connections. A proxy of the environment is not asked for what runs on this machine."""
    async with httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=LINE,
        trust_env=httpx.URL(url).host not in THIS_MACHINE,
        transport=transport,
    ) as client:
        yield client


async def upload(
    client: httpx.AsyncClient, recording: Recording, facts: Facts, *, give_up_after_s: float = GIVE_UP_AFTER_S, on_waiting: OnWaiting = lambda _: None
) -> Accepted:
    """Return what the gateway answered once it accepted. Raises NotSent where it refuses, or has not accepted in `give_up_after_s`."""
    content = await asyncio.to_thread(_read, recording)
    give_up_at_s = time.monotonic() + give_up_after_s
    tries, number = 0, None
    while True:
        tries += 1
        asked_s: float | None = None
        try:
            answer = await client.post(
                "/v1/ecgs",
                params={"lane": "routine" if facts.routine else "emergency"},  # in the query the gateway sees it before the body
                data=facts.as_form() | {"sent_at": datetime.now(UTC).isoformat()},
                files=content,
            )
        except httpx.TransportError as error:
            why, status = _in_words(error, client), 0
        else:
            if answer.status_code == 202:
                return _accepted(recording, answer, tries)
            why, status, number = _refusal(answer), answer.status_code, _number(answer) or number
            if status not in AGAIN_STATUSES:
                raise NotSent(recording, why, status, tries, number)
            asked_s = _retry_after_s(answer)
        wait_s = max(asked_s or 0.0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(tries - 1, 10)) * random.uniform(0.8, 1.0))  # noqa: S311 - spread, not a secret
        if time.monotonic() + wait_s > give_up_at_s:
            raise NotSent(recording, why, status, tries, number)
        on_waiting(Waiting(recording, why, wait_s))
        await asyncio.sleep(wait_s)


async def upload_all(
    client: httpx.AsyncClient,
    recordings: Sequence[Recording],
    facts: Facts,
    *,
    at_once: int = AT_ONCE,
    give_up_after_s: float = GIVE_UP_AFTER_S,
    on_waiting: OnWaiting = lambda _: None,
    on_settled: OnSettled = lambda _: None,
) -> list[Accepted | NotSent]:
    """Send many, `at_once` at a time, and return what became of each, in their order; `on_settled` hears of each when it is known.

    A token that is refused is refused for all: the rest is not sent."""
    outcomes: list[Accepted | NotSent | None] = [None] * len(recordings)
    left = iter(enumerate(recordings))
    refused: list[NotSent] = []

    async def send() -> None:
        for place, recording in left:
            try:
                if refused:
                    raise NotSent(recording, refused[0].why, refused[0].status, tries=0, standing_number=refused[0].standing_number)
                outcome: Accepted | NotSent = await upload(client, recording, facts, give_up_after_s=give_up_after_s, on_waiting=on_waiting)
            except NotSent as not_sent:
                outcome = not_sent
                if not_sent.status in (401, 403):
                    refused.append(not_sent)
            outcomes[place] = outcome
            on_settled(outcome)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(recordings))):
            group.create_task(send())
    return [outcome for outcome in outcomes if outcome is not None]


def _read(recording: Recording) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return the form's files. A file alone goes without its name, which may be a patient's; several need theirs to find each other."""
    alone = len(recording.files) == 1
    try:
        return [("files", ("recording" if alone else path.name, path.read_bytes(), "application/octet-stream")) for path in recording.files]
    except OSError as error:
        path = Path(error.filename) if error.filename else recording.named
        raise NotSent(recording, str(NotARecording(path, f"cannot be read: {error.strerror}")), 0, 0) from None


def _accepted(recording: Recording, answer: httpx.Response, tries: int) -> Accepted:
    try:
        told = answer.json()
        return Accepted(
            recording=recording,
            upload_id=told["upload_id"],
            lane=told["lane"],
            standing_number=told["standing_number"],
            unknown_facts=tuple(told["unknown_facts"]),
            received_at=told["received_at"],
            tries=tries,
        )
    except (ValueError, KeyError, TypeError):
        raise NotSent(recording, _NOT_A_GATEWAY.format(202), 202, tries) from None


def _in_words(error: httpx.TransportError, client: httpx.AsyncClient) -> str:
    address = f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"  # without a password that the URL may hold
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"{address} cannot be reached. Is `greenchannel up` running there?"
    return f"the line to {address} broke ({type(error).__name__})."


def _refusal(answer: httpx.Response) -> str:
    if answer.status_code == 401:
        return "the server does not know this token. Check GREENCHANNEL_TOKEN, or the folder that --data names."
    try:
        problem: dict[str, Any] = answer.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return _NOT_A_GATEWAY.format(answer.status_code)


def _number(answer: httpx.Response) -> str | None:
    try:
        number = answer.json()["standing_number"]
    except (ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, str) else None


def _retry_after_s(answer: httpx.Response) -> float | None:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), LONGEST_ASKED_WAIT_S) if asked.isascii() and asked.isdigit() else None
