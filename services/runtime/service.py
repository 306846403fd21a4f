"""How a service lives: connects, reads, answers /healthz, /readyz and /metrics, and stops in order when it is told to."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from faststream.kafka import KafkaBroker
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis
from structlog import get_logger

from contracts.access import Access
from contracts.directory import Contacts, Directory
from contracts.topics import Topic
from services.runtime.blobs import Blobs, open_blobs
from services.runtime.errors import Away, ConfigurationError, NotLoaded
from services.runtime.followed import Followed, followed_access, followed_contacts, followed_directory
from services.runtime.http import answer_errors
from services.runtime.producer import Producer
from services.runtime.reader import Reader, kafka_broker, subscribe
from services.runtime.redis_link import connect, reaching_redis
from services.runtime.settings import Settings
from services.runtime.topics_admin import ensure_topics
from services.runtime.waiting import until_there, wait_s

STOP_WITHIN_S = 5.0
CHECK_WITHIN_S = 2.0

T = TypeVar("T")

log = get_logger()


@dataclass(frozen=True)
class Links:
    """What a service reaches the world by.

    directory, access and contacts are followed for whoever asks for them while it is built; a process in which nobody does never reads them."""

    settings: Settings
    redis: Redis
    producer: Producer
    blobs: Blobs
    following: list[Followed[Any]] = field(default_factory=list)

    @cached_property
    def directory(self) -> Followed[Directory]:
        return self._follow(followed_directory(self.settings.kafka))

    @cached_property
    def access(self) -> Followed[Access]:
        return self._follow(followed_access(self.settings.kafka))

    @cached_property
    def contacts(self) -> Followed[Contacts]:
        return self._follow(followed_contacts(self.settings.kafka))

    def _follow(self, followed: Followed[T]) -> Followed[T]:
        self.following.append(followed)
        return followed


@dataclass(frozen=True)
class Service:
    """What a service is made of, once it is wired."""

    readers: Sequence[Reader] = ()
    background: Sequence[Callable[[], Awaitable[None]]] = ()  # each runs for as long as the service does
    router: APIRouter | None = None
    on_stop: Sequence[Callable[[], Awaitable[None]]] = ()


@dataclass(frozen=True)
class Plan:
    """A service before it is wired: what it may write, and how it is built."""

    name: str
    writes: tuple[Topic, ...]
    build: Callable[[Links], Service]
    dead_letters_of: tuple[Topic, ...] = ()

    def may_write(self) -> tuple[Topic, ...]:
        return (*self.writes, *(Topic(topic.dead_letters, (), kept=None) for topic in self.dead_letters_of))


@dataclass
class _State:
    started: bool = False
    stopping: bool = False
    parts: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)


async def run(plans: Sequence[Plan], settings: Settings, on_listening: Callable[[int], None] = lambda _: None) -> None:
    """Run services in this process until SIGTERM or SIGINT. ConfigurationError where they cannot be built; what is away is waited for."""
    name = "+".join(plan.name for plan in plans)
    links = Links(
        settings=settings,
        redis=connect(settings.redis),
        producer=Producer(settings.kafka, f"{name}-{settings.instance}", [topic for plan in plans for topic in plan.may_write()]),
        blobs=open_blobs(settings.blobs),
    )
    services = [plan.build(links) for plan in plans]
    readers = [reader for service in services for reader in service.readers]
    state = _State(parts=_parts(links))
    server = _Server(uvicorn.Config(_http(services, readers, state), log_config=None, access_log=False, lifespan="off", server_header=False))
    listening = _listen(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = kafka_broker(settings.kafka)
    for reader in readers:
        subscribe(broker, reader, instance=settings.instance)

    http = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    on_listening(listening.getsockname()[1])
    work = asyncio.create_task(_work(links, broker if readers else None, services, state), name="work")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    done, _ = await asyncio.wait({http, work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    state.stopping = True
    log.info("stopping")
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    for reader in readers:
        reader.hand_on()  # what is in hand is committed
    if readers and state.started:
        await broker.stop()
    for service in services:
        for each in service.on_stop:
            await each()
    server.should_exit = True
    await asyncio.gather(http, return_exceptions=True)
    await links.producer.stop()
    await links.redis.aclose()
    stopping.cancel()
    for task in done - {stopping}:
        task.result()  # what ended by itself ended by an error: let it be seen, and the process restarted


async def _work(links: Links, broker: KafkaBroker | None, services: Sequence[Service], state: _State) -> None:
    def waiting(away: Away) -> None:
        log.warning("waiting to start", what=away.what, cause=away.cause)

    await until_there(lambda: ensure_topics(links.settings.kafka, links.settings.replication), waiting)
    await until_there(links.producer.start, waiting)
    if broker is not None:
        await _start(broker)
    state.started = True
    log.info("started")
    async with asyncio.TaskGroup() as group:
        for background in (*(each.follow for each in links.following), *(each for service in services for each in service.background)):
            group.create_task(_keep(background))
        group.create_task(asyncio.Event().wait())


async def _keep(background: Callable[[], Awaitable[None]]) -> None:
    failures = 0
    while True:
        try:
            await background()
            return
        except Away as away:
            log.warning("waiting", what=away.what, cause=away.cause)
        await asyncio.sleep(wait_s(failures))
        failures = min(failures + 1, 10)


async def _start(broker: KafkaBroker) -> None:
    failures = 0
    while True:
        try:
            await broker.start()
            return
        except (KafkaError, OSError) as error:
            log.warning("waiting to start", what="kafka", cause=type(error).__name__)
            await broker.stop()
        await asyncio.sleep(wait_s(failures))
        failures += 1


def _listen(settings: Settings) -> socket.socket:
    try:
        listening = socket.create_server((settings.host, settings.port), backlog=512)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does not for one that it did not make: each answer would wait 40 ms
        return listening
    except OSError as error:
        raise ConfigurationError(f"port {settings.port}", f"cannot listen on {settings.host}: {error.strerror}; give another port") from None


def _parts(links: Links) -> dict[str, Callable[[], Awaitable[None]]]:
    async def redis_answers() -> None:
        with reaching_redis():
            await links.redis.ping()

    def known(followed: Followed[Any]) -> Callable[[], Awaitable[None]]:
        async def is_known() -> None:
            followed.current()

        return is_known

    return {"kafka": links.producer.ready, "redis": redis_answers, "blobs": links.blobs.ready} | {each.what: known(each) for each in links.following}


def _http(services: Sequence[Service], readers: Sequence[Reader], state: _State) -> FastAPI:
    app = FastAPI(title="Greenchannel", openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)
    answer_errors(app)
    for service in services:
        if service.router is not None:
            app.include_router(service.router)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return JSONResponse({"alive": True})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        found = dict(zip(state.parts, await asyncio.gather(*(_answer_of(check) for check in state.parts.values())), strict=True))
        found["started"] = "yes" if state.started and not state.stopping else "no"
        for reader in readers:
            found[reader.name] = "stopped" if reader.stopped else f"waiting for {reader.away.what}" if reader.away else "ok"
        ready = all(answer in {"ok", "yes"} for answer in found.values())
        return JSONResponse({"ready": ready, "parts": found}, status_code=200 if ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


async def _answer_of(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            await check()
    except NotLoaded as missing:
        return str(missing)
    except Away as away:
        return f"away: {away.cause}"
    except TimeoutError:
        return "away: no answer"
    return "ok"


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the service stops its parts in its own order
