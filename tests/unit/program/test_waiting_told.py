"""While Kafka does not answer, a command says that it waits and for how long; then its own sentence, and no library's."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from services.program import loading, rebuilding, waiting_told
from services.program.cli import app
from services.program.waiting_told import told_while


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that lets in whoever comes, and answers nothing: a Kafka that is frozen."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_told, "TOLD_AFTER_S", 0.2)
    monkeypatch.setattr(loading, "PREPARED_WITHIN_S", 2.0)
    monkeypatch.setattr(rebuilding, "ANSWERS_WITHIN_S", 2.0)


COMMANDS = [("access", "list"), ("ops", "rebuild", "--check"), ("ops", "rebuild")]


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("words", COMMANDS)
def test_while_kafka_is_frozen_it_is_said_that_it_is_waited_for_and_how_long_yet(
    silent: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    monkeypatch.setenv("GREENCHANNEL_KAFKA", silent)
    monkeypatch.setenv("GREENCHANNEL_REDIS", f"redis://{silent}/0")
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 1, done.output
    assert "Kafka has not answered for 0 s; it is waited for, 2 s more at most." in done.stderr
    assert "kafka is away: no answer within 2 s" in done.stderr


@pytest.mark.parametrize("words", COMMANDS)
def test_of_a_kafka_that_is_not_there_no_library_says_a_word(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    monkeypatch.setenv("GREENCHANNEL_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("GREENCHANNEL_REDIS", "redis://127.0.0.1:1/0")
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, "kafka is away" in done.stderr) == (1, True)
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_comes_at_once_is_given_without_a_word_and_what_fails_fails():
    said = list[str]()

    async def work() -> int:
        if said:
            raise ValueError("later")
        return 7

    assert (await told_while(work(), "Kafka", 20.0, said.append), said) == (7, [])
    said.append("x")
    with pytest.raises(ValueError, match="later"):
        await told_while(work(), "Kafka", 20.0, said.append)


async def test_who_stops_waiting_leaves_nothing_running():
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(told_while(work(), "Kafka", 20.0, print))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait_for(ended.wait(), 5)
