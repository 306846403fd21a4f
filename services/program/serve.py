"""The services by name, and the life of one in a process of its own."""

from collections.abc import Callable, Sequence

import uvloop
from structlog import get_logger

from contracts.vocabulary import Lane
from services.cases import app as cases
from services.console import app as console
from services.gateway import app as gateway
from services.notify import app as notify
from services.runtime.errors import ConfigurationError
from services.runtime.logs import set_up_logs
from services.runtime.service import Plan, run
from services.runtime.settings import Settings
from services.triage import app as triage

SERVICES: dict[str, tuple[Plan, ...]] = {
    "gateway": (gateway.PLAN,),
    "triage-emergency": (triage.PLANS[Lane.EMERGENCY],),
    "triage-routine": (triage.PLANS[Lane.ROUTINE],),
    "triage": tuple(triage.PLANS.values()),  # both lanes in one process, where there is room for no more
    "cases": (cases.PLAN,),
    "notify": (notify.PLAN,),
    "console": console.PLANS,
    "web": (gateway.PLAN, console.HTTP_PLAN),  # the write side and the read side on one port
    "projector": (console.PROJECTOR_PLAN,),
}

# Under `up`; what is nice gives way: a check-up campaign of 10,000 waits for everything else.
TOGETHER = {name: SERVICES[name] for name in ("web", "cases", "notify", "triage-emergency", "projector", "triage-routine")}
NICE = {"triage-routine": 10, "projector": 5}


def check(settings: Settings) -> None:
    """Say once what would end a service at each of its starts: ConfigurationError. The rulebook is compiled by it, and a fork inherits that."""
    triage.rulebook_for(settings)


def serve(name: str, plans: Sequence[Plan], settings: Settings, on_listening: Callable[[int], None] = lambda _: None) -> None:
    """Run one service, or several in one process, until SIGTERM. Raises ConfigurationError; what else ends it is logged, and ends the process."""
    set_up_logs(name)
    try:
        uvloop.run(run(plans, settings, on_listening))
    except ConfigurationError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it ends this process; a traceback would print what it quotes
        get_logger().critical("ended by an error", exc_info=True)
        raise SystemExit(1) from None
