"""A whole centre on one machine: `up` runs everything, `stack` only what the services stand on."""

import asyncio
import gc
import http.client
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from services.local.data_folder import DataFolder
from services.local.errors import LocalError, StopAsked
from services.local.jars import cache_folder
from services.local.stack import StackAddresses, start_stack
from services.local.supervisor import Supervisor
from services.program.example_data import CLINIC, Files, write_example_data
from services.program.own_terminal import keep_standard_streams, talk
from services.program.pages_shown import Pages
from services.program.show import plain
from services.program.typed import typed
from services.runtime.errors import Away, ConfigurationError
from services.runtime.settings import PREFIX, Settings

ERRORS = (LocalError, ConfigurationError)
HOST = "127.0.0.1"
LOOK_EVERY_S = 0.2
ANSWER_WITHIN_S = 0.5
BEGUN_WITHIN_S = 10.0


def up(data: Path, port: int | None) -> int:
    """Run everything until Ctrl-C; return the exit status. Raises ERRORS."""
    began = time.monotonic()
    check_environment()
    keep_standard_streams()
    with DataFolder(data) as folder, _supervisor(folder) as supervisor:
        web_port = folder.port("web", port)
        addresses = _start(folder, supervisor)
        url = f"http://{HOST}:{web_port}"
        files = write_example_data(folder.path)
        _begin(supervisor, addresses.kafka, files, url)
        waiting = _start_services(folder, supervisor, _settings(addresses, files, url))
        if supervisor.run(lambda: _all_ready(waiting), LOOK_EVERY_S):
            _say_ready(url, folder.path, time.monotonic() - began)
            pages = Pages(files.pager, folder.path, talk)
            supervisor.run(pages.show_new, LOOK_EVERY_S)
        talk.print("stopping", style="dim")
    return 0


def stack(data: Path) -> int:
    """Run Kafka and Valkey until Ctrl-C; print the settings for `serve`. Raises ERRORS."""
    check_environment()
    keep_standard_streams()
    with DataFolder(data) as folder, _supervisor(folder) as supervisor:
        web_port = folder.port("web")
        addresses = _start(folder, supervisor)
        url = f"http://{HOST}:{web_port}"
        files = write_example_data(folder.path)
        _begin(supervisor, addresses.kafka, files, url)
        settings = _settings(addresses, files, url)
        for name, value in _as_environment(settings).items():
            print(f"{name}={value}", flush=True)
        talk.print(
            "Kafka and Valkey run. In another terminal, with these lines in its environment: "
            f"`GREENCHANNEL_PORT={web_port} {typed('serve', 'web')}`. Ctrl-C stops them.",
            highlight=False,
        )
        supervisor.run(lambda: False)
    return 0


def check_environment() -> None:
    """Say what services could not be told, before anything is started for them. Raises ConfigurationError."""
    try:
        Settings(kafka="", redis="", blobs="")
    except ValidationError as error:
        wrong = "; ".join(f"{PREFIX}{str(part['loc'][0]).upper()}: {part['msg']}" for part in error.errors(include_input=False))
        raise ConfigurationError("environment", f"{wrong}. Mend or unset it, and start again: nothing was started") from None


def _supervisor(folder: DataFolder) -> Supervisor:
    return Supervisor(
        folder.logs, lambda sentence: talk.print(plain(sentence), style="yellow"), folder.remember_children, private_fds=[folder.lock_fd]
    )


def _start(folder: DataFolder, supervisor: Supervisor) -> StackAddresses:
    # Without a thread of its own, which a bar that refreshes itself would have: this process is going to fork.
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=talk, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def progress(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total or None, refresh=True)

        return start_stack(folder, supervisor, progress, cache=cache_folder(os.environ))


def _begin(supervisor: Supervisor, kafka: str, files: Files, url: str) -> None:
    """Have a directory and tokens in Kafka before services ask for them. Raises StopAsked, ConfigurationError.

    In this process, which is going to fork: an event loop that is closed again leaves no thread. Kafka may die meanwhile, and is started again."""
    from services.program.first_start import begin  # noqa: PLC0415 - it takes a while, and may while Kafka starts
    from services.program.loading import quiet  # noqa: PLC0415

    said = list[str]()

    async def attempt() -> None:
        async with asyncio.timeout(BEGUN_WITHIN_S):
            said.extend(await begin(kafka, files, url, datetime.now(UTC)))

    def begun() -> bool:
        try:
            with quiet():
                asyncio.run(attempt())
        except (Away, TimeoutError):
            return False
        return True

    if not supervisor.run(begun, LOOK_EVERY_S):
        raise StopAsked
    for sentence in said:
        talk.print(plain(sentence), style="yellow", highlight=False, soft_wrap=True)


def _settings(addresses: StackAddresses, files: Files, url: str) -> Settings:
    return Settings(
        kafka=addresses.kafka,
        redis=addresses.redis,
        blobs=addresses.blobs,
        patient_key_secret=files.patient_key_secret,
        pager=files.pager,
        link=os.environ.get(f"{PREFIX}LINK") or url,  # the address that telephones reach is another than this machine's
    )


def _as_environment(settings: Settings) -> Mapping[str, str]:
    told = settings.model_dump(mode="json", exclude={"host", "port", "instance"}, exclude_none=True)
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in told.items()}


def _start_services(folder: DataFolder, supervisor: Supervisor, settings: Settings) -> dict[str, int]:
    """Start each service in a fork and return where each answers. What they have in common is imported and made once, here, and shared by all."""
    from services.program import serve  # noqa: PLC0415 - while Kafka starts, not before it: it takes a second

    serve.check(settings)
    gc.collect()
    gc.freeze()  # what is there now is left where it lies, so that the children go on sharing its pages
    ports = {"web": folder.port("web")} | {name: folder.port(f"health of {name}") for name in serve.TOGETHER if name != "web"}
    for name, plans in serve.TOGETHER.items():
        own = settings.model_copy(update={"port": ports[name], "host": HOST})
        supervisor.add_service(name, partial(serve.serve, name, plans, own), nice=serve.NICE.get(name, 0))
    return ports


def _all_ready(waiting: dict[str, int]) -> bool:
    """Take out of waiting what is ready by now; return whether nothing is left."""
    for name, port in list(waiting.items()):
        if _ready(port):
            del waiting[name]
    return not waiting


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False  # not yet
    finally:
        connection.close()


def _say_ready(url: str, data: Path, took_s: float) -> None:
    talk.print(f"[bold green]ready[/] in {took_s:.1f} s: {url}", highlight=False)
    talk.print(f"  data    {plain(data)} (logs, pager.jsonl, directory.yaml, client.toml)", highlight=False, soft_wrap=True)
    talk.print(f"  send    {plain(typed('upload', 'FILE', '--clinic', CLINIC, data=data))}", highlight=False, soft_wrap=True)
    talk.print(f"  look    {plain(typed('case', 'list', data=data))}", highlight=False, soft_wrap=True)
    talk.print("  stop    Ctrl-C\n", highlight=False)
