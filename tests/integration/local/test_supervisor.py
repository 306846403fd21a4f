"""The supervisor as real processes: what dies comes back, and nothing outlives its parent."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.local.conftest import Centre, OpenCentre

SHELL = "/bin/sh"


def waits_for_sigterm(then: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        print("ready", flush=True)
        signal.sigwait([signal.SIGTERM])
        then()

    return run


def is_ready(centre: Centre, *names: str) -> Callable[[], bool]:
    logs = [centre.data.logs / f"{name}.log" for name in names]
    return lambda: all(log.exists() and "ready" in log.read_text() for log in logs)


def append(path: Path, word: str) -> Callable[[], None]:
    def run() -> None:
        with path.open("a") as file:
            file.write(f"{word}\n")

    return run


def slowly(act: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        select.select([], [], [], 0.2)  # long enough for Valkey to be gone first, if it were stopped at the same time
        act()

    return run


def test_a_killed_child_is_started_again_by_itself(centre: Centre) -> None:
    centre.supervisor.add_service("triage", waits_for_sigterm(lambda: None))
    first = centre.pid("triage")
    os.kill(first, signal.SIGKILL)
    centre.until(lambda: centre.supervisor.status()["triage"].restarts == 1)
    assert centre.pid("triage") != first
    assert centre.said == ["triage was killed by SIGKILL and is started again."]


def test_a_terminal_that_is_gone_keeps_no_child_from_being_started_again(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(sentence: str) -> None:
        raise BrokenPipeError(sentence)

    monkeypatch.setattr(centre.supervisor, "_terminal", gone)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        full.write("what cannot be flushed")
        centre.supervisor.add_program("kafka", [SHELL, "-c", "kill -s RTMIN $$"], folder=centre.data.path, env={})
        centre.until(lambda: centre.supervisor.status()["kafka"].restarts >= 3)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_what_a_killed_child_started_does_not_outlive_it(centre: Centre) -> None:
    def run() -> None:
        worker = os.fork()
        if worker == 0:
            signal.pause()
        print(worker, flush=True)
        signal.pause()

    log = centre.data.logs / "triage.log"
    centre.supervisor.add_service("triage", run)
    centre.until(lambda: log.exists() and log.read_text().endswith("\n"))
    worker = os.pidfd_open(int(log.read_text()))
    os.kill(centre.pid("triage"), signal.SIGKILL)
    centre.until(lambda: bool(ended(worker)))


def ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 0)[0])


def test_a_child_that_keeps_dying_is_shown_with_its_last_words_and_tried_on(centre: Centre) -> None:
    script = "echo No space left on device >&2; exit 3"
    centre.supervisor.add_program("kafka", [SHELL, "-c", script], folder=centre.data.path, env={})
    centre.until(lambda: centre.supervisor.status()["kafka"].restarts >= 4)
    shown = [said for said in centre.said if "No space left on device" in said]
    assert len(shown) == 1
    assert "kafka ended with status 3, 3 times in a row" in shown[0]
    assert str(centre.data.logs / "kafka.log") in shown[0]


def test_a_program_that_cannot_be_run_is_a_sentence(centre: Centre) -> None:
    centre.supervisor.add_program("kafka", ["/no/such/java"], folder=centre.data.path, env={})
    centre.until(lambda: centre.supervisor.status()["kafka"].restarts >= 3)
    assert any("/no/such/java cannot be run: [Errno 2]" in said for said in centre.said)


def test_an_exception_in_a_service_ends_that_service_alone_and_is_in_its_log(centre: Centre) -> None:
    def fail() -> None:
        raise RuntimeError("no directory file")

    centre.supervisor.add_service("cases", fail)
    centre.until(lambda: centre.supervisor.status()["cases"].restarts == 1)
    assert "RuntimeError: no directory file" in (centre.data.logs / "cases.log").read_text()
    assert centre.said == ["cases ended with status 1 and is started again."]


def test_services_stop_before_what_they_stand_on(tmp_path: Path, centre_at: OpenCentre) -> None:
    order = tmp_path / "order"
    with centre_at(tmp_path / "centre") as centre:
        centre.supervisor.add_service("valkey", waits_for_sigterm(append(order, "valkey")), stage=0)
        centre.supervisor.add_service("cases", waits_for_sigterm(slowly(append(order, "cases"))), stage=1)
        centre.until(is_ready(centre, "valkey", "cases"))
    assert order.read_text().split() == ["cases", "valkey"]


def test_ctrl_c_in_the_terminal_reaches_the_parent_alone(tmp_path: Path, centre_at: OpenCentre) -> None:
    order = tmp_path / "order"
    with centre_at(tmp_path / "centre") as centre:
        centre.supervisor.add_service("cases", waits_for_sigterm(append(order, "cases")))
        centre.until(is_ready(centre, "cases"))
        assert os.getpgid(centre.pid("cases")) != os.getpgid(0)  # a terminal sends SIGINT to the whole group of the parent
        os.kill(os.getpid(), signal.SIGINT)
        assert not centre.supervisor.run(lambda: False)
        assert centre.supervisor.status()["cases"].restarts == 0
    assert order.read_text() == "cases\n"


def test_a_child_that_does_not_stop_is_killed_after_its_time(tmp_path: Path, centre_at: OpenCentre) -> None:
    with centre_at(tmp_path) as centre:
        centre.supervisor.add_service("deaf", deaf, stop_timeout_s=0.1)
        centre.until(is_ready(centre, "deaf"))
        watch = os.pidfd_open(centre.pid("deaf"))
    assert ended(watch)


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path, centre_at: OpenCentre) -> None:
    with centre_at(tmp_path) as centre:
        centre.supervisor.add_service("deaf", deaf, stop_timeout_s=3600)
        centre.until(is_ready(centre, "deaf"))
        watch = os.pidfd_open(centre.pid("deaf"))
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert ended(watch)


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        signal.pause()


def test_the_parents_own_handlers_are_back_when_the_supervisor_is_gone(tmp_path: Path, centre_at: OpenCentre) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    with centre_at(tmp_path):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)] == before


def test_a_service_holds_nothing_of_the_parents_that_is_private(centre: Centre) -> None:
    def run() -> None:
        held = [Path(f"/proc/self/fd/{number}") for number in range(256)]
        print(*(descriptor.readlink() for descriptor in held if descriptor.is_symlink()), "ready", flush=True)
        signal.pause()

    centre.supervisor.add_service("cases", run)
    centre.until(is_ready(centre, "cases"))
    assert "GREENCHANNEL_DATA" not in (centre.data.logs / "cases.log").read_text()  # its lock would outlive a killed parent


def test_a_full_disk_does_not_take_the_supervisor_with_it(tmp_path: Path, centre_at: OpenCentre) -> None:
    with centre_at(tmp_path) as centre:
        (tmp_path / "children.json.new").mkdir()  # writing there fails, as it does on a full disk
        centre.supervisor.add_service("cases", waits_for_sigterm(lambda: None))
        assert any("could not be written down" in said for said in centre.said)
        os.kill(centre.pid("cases"), signal.SIGKILL)
        centre.until(lambda: centre.supervisor.status()["cases"].restarts == 1)
