"""Whether an address reaches those that it names. Apprise leaves out what it does not understand: then it sends to fewer, or to its own number."""

import logging
import re
import threading
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

import apprise
from apprise.utils.parse import parse_urls

NOBODY = "it reaches nobody: write whom it is to reach, each number or mail address in full, besides the one that sends"
LEFT_OUT = "it names somebody or something that would be left out without a word: correct each number and name in it, or take it out"
_MENTIONS_ONLY = {"dingtalk"}  # its telephones are those it calls by name in a group, which hears it without any
_PHONES = {"target_phone", "target_phone_no", "short_code"}
_MAIL = {"target_email"}
_COPIES = ("cc", "bcc")
_PHONE = re.compile(r"(?:[a-z]+:)?[+0-9().-]*[0-9][+0-9().-]*", re.IGNORECASE)  # also a part of one that is written with spaces
_MAIL_ADDRESS = re.compile(r"(?:[^<>@]*<)?([^\s<>@]+@[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)>?", re.IGNORECASE)


def unreached(address: str) -> str | None:
    """Return what is wrong with whom an address names, without quoting it; None where all of them are reached. Nothing is sent."""
    for url in parse_urls(address):  # type: ignore[no-untyped-call]
        with _warnings() as warned:
            service = apprise.Apprise.instantiate(url)
        if service is None or warned or _left_out(service, url):
            return LEFT_OUT
        if reaches_nobody(service):
            return NOBODY
    return None


def reaches_nobody(service: Any) -> bool:
    """Tell a service that would send to nobody, or only to the number that it sends from."""
    if len(service) == 0:
        return True
    targets, tokens = getattr(service, "targets", None), _target_tokens(service)
    if not isinstance(targets, Sequence | Set) or isinstance(targets, str) or service.schema in _MENTIONS_ONLY:
        return False
    by_phone = not tokens.isdisjoint(_PHONES)
    if not targets:
        return by_phone or tokens == _MAIL or all("{target" in each for each in service.templates)
    own = _digits(str(getattr(service, "source", None) or ""))
    return by_phone and bool(own) and all(_digits(each) == own for each in _texts(targets))


def _left_out(service: Any, url: str) -> bool:
    """Tell whether a number or a mail address that is written is not among those that were kept. Of other kinds of names nothing is known."""
    tokens, kept = _target_tokens(service), getattr(service, "targets", None)
    if kept is None or not tokens or not (tokens <= _PHONES or tokens == _MAIL):
        return False
    entries = _written(service, url)
    if tokens == _MAIL:
        kept = [*kept, *(each for name in _COPIES for each in getattr(service, name, None) or ())]
        mails = [_MAIL_ADDRESS.fullmatch(each.strip()) for entry in entries for each in re.split("[,;]", entry) if each.strip()]
        found = {each.lower() for each in _texts(kept)}
        return any(mail is None or mail.group(1).lower() not in found for mail in mails)
    parts = [part for entry in entries for part in re.split(r"[\s,;]+", entry) if part]
    numbers = [_digits(each) for each in _texts(kept)]
    return any(not _PHONE.fullmatch(part) or not any(_digits(part) in each or each in _digits(part) for each in numbers) for part in parts)


def _written(service: Any, url: str) -> Sequence[str]:
    parsed = type(service).parse_url(url)
    if not parsed:
        return []  # a provider's own address, as it stands on its pages
    targets, options = parsed.get("targets") or [], parsed["qsd"]
    written = [targets] if isinstance(targets, str) else [str(each) for each in targets]
    written += [service.unquote(options[name]) for name in ("to", *_COPIES) if options.get(name)]
    return [*written, *(name for name, value in options.items() if not value)]  # behind a semicolon a target is taken for an option


def _target_tokens(service: Any) -> set[str]:
    return {name for name, token in service.template_tokens.items() if token.get("map_to") == "targets" and name != "targets"}


def _texts(targets: Any) -> Iterator[str]:
    """Yield the number or name of each target: before it may stand what people call it, or how it is to be reached."""
    for each in targets:
        yield each if isinstance(each, str) else next((part for part in reversed(each) if isinstance(part, str)), "")


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


class _Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard, self._thread = list[str](), threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and record.levelno <= logging.ERROR:  # above it Apprise says what is out of date
            self.heard.append(record.msg)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Keep what Apprise warns of in this thread meanwhile: it has no other word for what it leaves out. It quotes the address: not to be shown."""
    keeping, logger = _Keeping(), logging.getLogger("apprise")
    logger.addHandler(keeping)
    try:
        yield keeping.heard
    finally:
        logger.removeHandler(keeping)
