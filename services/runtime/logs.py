"""Structured logs: a fixed sentence and fields. Ids of upload, case and event; never a name, a number, or what a file holds."""

import linecache
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import structlog

from services.runtime.errors import in_words

NOT_SHOWN = "…"
# What the event loop's own lines begin with: what follows there is the text of tasks, arguments and errors.
_LOOP_SAYS = (
    "Task exception was never retrieved",
    "Future exception was never retrieved",
    "Task was destroyed but it is pending!",
    "Exception in callback",
    "Fatal error on transport",
)


def _stack_without_values(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say where an error came from, and not what it quotes: a library's message may hold a piece of a patient's file."""
    given = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        entry["error"] = in_words(error)
        entry["stack"] = [f"{_place(frame.filename, frame.lineno)} {frame.name}" for frame in _frames(error)]
    return entry


def _place(filename: str, line: int | None) -> str:
    return f"{'/'.join(Path(filename).parts[-2:])}:{line}"


def _others_without_values(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say of a library's entry which of its sentences it is and where it stands. What was put into it may quote a patient's file."""
    record: logging.LogRecord = entry["_record"]
    arguments = entry.pop("positional_args", None)
    entry["event"] = _sentence(record, arguments)
    entry["logger"] = record.name
    entry["place"] = f"{_place(record.pathname, record.lineno)} {record.funcName}"
    entry.pop("stack_info", None)
    return entry


def _sentence(record: logging.LogRecord, arguments: object) -> str:
    said = record.msg
    if not isinstance(said, str):
        return type(said).__name__
    if arguments:
        try:
            return said % _without_values(arguments)
        except (TypeError, ValueError, KeyError):
            return said  # the sentence as it was written, its gaps unfilled
    first = said.partition("\n")[0]
    if record.name == "asyncio":
        return next((begun for begun in _LOOP_SAYS if first.startswith(begun)), NOT_SHOWN)
    # Put together before it was logged, it may hold anything; what stands so in the source holds nothing else.
    source = "".join(linecache.getlines(record.pathname))
    return first if re.search(rf"""["']{re.escape(first)}(["']|\\n)""", source) else NOT_SHOWN


def _without_values(arguments: object) -> object:
    if isinstance(arguments, Mapping):
        return {name: _shown(value) for name, value in arguments.items()}
    return tuple(map(_shown, arguments)) if isinstance(arguments, tuple) else _shown(arguments)


def _shown(argument: object) -> object:
    if isinstance(argument, int | float):
        return argument
    return type(argument).__name__ if isinstance(argument, BaseException) else NOT_SHOWN


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
    return list(traceback.extract_tb(inner.__traceback__))[-8:]


def set_up_logs(service: str) -> None:
    """Write a JSON line for each entry to stderr, the libraries' warnings among them."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _stack_without_values,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_others_without_values, *shared],
            pass_foreign_args=True,
            use_get_message=False,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # Its every reconnection attempt is a line; that a part is away is said by us, once, and by /readyz.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
