"""What providers say in the body of an answer of status 200, which some give whatever became of the message. Apprise looks at the status alone.

A code is told, a provider's words are not: they may quote a telephone number."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests  # what Apprise asks by, and so in the version that it wants

from contracts.deliveries import Failure
from services.notify.notice import Failed, Outcome, Sent, Unknown

UNREADABLE = Unknown("the provider answered 200, and what it said cannot be read")
PARTLY_TAKEN = "not every target of the address took it"
_CODE = re.compile(r"-?[0-9]{1,9}")
_ASKS_TO_WAIT = re.compile(r"too many|too fast|\bfreq|rate limit", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """How a kind of provider answers: where its codes stand, of which 0 is success, and which of them pass by themselves."""

    codes: Callable[[Any], Sequence[object]]  # raises what a body of another shape raises
    words: Callable[[Any], Sequence[object]]
    passing: frozenset[int]


def _named(*names: str) -> Callable[[Any], Sequence[object]]:
    return lambda body: [body[name] for name in names if name in body]


def _of_messages(name: str) -> Callable[[Any], Sequence[object]]:
    return lambda body: [message.get(name) for message in body["messages"]]


# -1 is "the system is busy" at WeCom and DingTalk; 9499 is a malformed request too, which only Feishu's words tell apart.
_WECOM = Kind(_named("errcode"), _named("errmsg"), frozenset({-1, 45009, 45033}))
_DINGTALK = Kind(_named("errcode"), _named("errmsg"), frozenset({-1, 130101, 410100}))
_FEISHU = Kind(_named("code", "StatusCode"), _named("msg", "StatusMessage"), frozenset({11232, 99991400}))
_VONAGE = Kind(_of_messages("status"), _of_messages("error-text"), frozenset({1, 5, 10}))
KINDS: Mapping[str, Kind] = {
    "wecombot": _WECOM,
    "dingtalk": _DINGTALK,
    "feishu": _FEISHU,
    "lark": _FEISHU,
    "vonage": _VONAGE,
    "nexmo": _VONAGE,
}


def said(kind: Kind, answers: Sequence[requests.Response]) -> Outcome:
    """Return what is known by all answers to one notice."""
    return together([_said(kind, each.content) for each in answers]) if answers else UNREADABLE


def _said(kind: Kind, content: bytes) -> Outcome:
    try:
        body = json.loads(content)
        codes = [_number(each) for each in kind.codes(body)]
        words = " ".join(str(each) for each in kind.words(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return UNREADABLE
    if not codes:
        return UNREADABLE
    refused = [code for code in codes if code != 0]
    if not refused:
        return Sent()
    reason = f"the provider answered 200 with code {refused[0]}"
    if len(refused) < len(codes):
        return Unknown(f"{PARTLY_TAKEN}: {reason}")
    passes = set(refused) <= kind.passing or _ASKS_TO_WAIT.search(words) is not None
    return Failed(Failure.TEMPORARY if passes else Failure.PERMANENT, reason)


def _number(code: object) -> int:
    text = str(code)
    if isinstance(code, bool) or not _CODE.fullmatch(text):
        raise ValueError("no code")
    return int(text)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Return what is known of a notice that went out in several parts, or to several targets."""
    wanting = [each for each in outcomes if not isinstance(each, Sent)]
    failed = [each for each in wanting if isinstance(each, Failed)]
    if not wanting:
        return Sent()
    if len(failed) == len(outcomes):
        return next((each for each in failed if each.failure is Failure.TEMPORARY), failed[0])
    return wanting[0] if len(outcomes) == 1 else Unknown(f"{PARTLY_TAKEN}: {wanting[0].reason}")


_hearing: ContextVar[list[requests.Response] | None] = ContextVar("hearing", default=None)
_send = requests.Session.send


def _send_and_keep(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
    answer = _send(self, request, **kwargs)
    heard = _hearing.get()
    if heard is not None and answer not in heard:  # the last one of a redirect passes here twice
        heard.append(answer)
    return answer


# Apprise lets nobody see an answer. All its requests pass here; only those within `hearing` are kept.
requests.Session.send = _send_and_keep  # type: ignore[method-assign]


@contextmanager
def hearing() -> Iterator[list[requests.Response]]:
    """Keep the answers to all requests that are made in this thread meanwhile."""
    heard = list[requests.Response]()
    token = _hearing.set(heard)
    try:
        yield heard
    finally:
        _hearing.reset(token)
