"""Structured logs: a fixed sentence and fields. Ids of upload, case and event; never a name, a number, or what a file holds."""

import logging
import sys
import traceback
from pathlib import Path

import structlog

from services.runtime.errors import in_words


def _stack_without_values(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say where an error came from, and not what it quotes: a library's message may hold a piece of a patient's file."""
    given = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        entry["error"] = in_words(error)
        entry["stack"] = [f"{frame.filename.rsplit('/', 2)[-2]}/{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in _frames(error)]
    return entry


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
            foreign_pre_chain=shared,
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
