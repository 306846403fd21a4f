"""One run: a centre under `up`, uploads flowing, faults drawn from the seed, people answering; then quiet, the checker, and the rebuild proof."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from tests.chaos.checker import Verdict, check
from tests.chaos.clinics import Clinics, uploads
from tests.chaos.evidence import ends_of, read_evidence
from tests.chaos.faults import Fault, draw
from tests.chaos.journal import Entry, Journal
from tests.chaos.nemesis import Nemesis
from tests.chaos.people import People
from tests.chaos.provider import Provider
from tests.chaos.site import PEOPLE, Site
from tests.conftest import ROOT

LOOKS_EVERY_S = 0.5
READY_AGAIN_WITHIN_S = 120.0
QUIET_S = 20.0  # longer than any timer that is short: the next method's 10 s, a session's
SETTLES_WITHIN_S = 600.0
REBUILT_WITHIN_S = 180.0


@dataclass(frozen=True)
class Asked:
    uploads: int
    kills: int
    seed: int


@dataclass(frozen=True)
class Rebuilt:
    """What became of the state when it was made anew from the log."""

    equal: bool
    words: str


@dataclass(frozen=True)
class Outcome:
    """troubles: what kept the run itself from being what it should."""

    verdict: Verdict
    journal: list[Entry]
    rebuilt: Rebuilt
    troubles: tuple[str, ...]
    skipped: tuple[str, ...]
    took_s: float

    @property
    def holds(self) -> bool:
        return self.verdict.lost == 0 and self.rebuilt.equal and not self.troubles


@contextmanager
def watched(site: Site, journal: Journal) -> Iterator[None]:
    """Write down whenever all services become ready, or one is not any more."""
    enough = threading.Event()

    def watch() -> None:
        said: bool | None = None
        while not enough.wait(LOOKS_EVERY_S):
            ready = site.is_ready()
            if ready is not said:
                journal.write("readiness", ready=ready)
                said = ready

    thread = threading.Thread(target=watch, name="readiness", daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


async def run(asked: Asked, folder: Path, bar: Progress, say: Callable[[str], None]) -> Outcome:
    """Do the run in the folder, and judge it."""
    begun_s = time.monotonic()
    late: list[People] = []  # the provider is there before the people are
    provider = Provider(folder / "provider.jsonl", lambda person, text: late[0].heard(person, text) if late else None)
    site = Site(folder, provider_port=provider.port, uploads=asked.uploads)
    journal = Journal(site.journal)
    skipped = () if site.disks else ("disk full: this process may not mount a tmpfs; run as root to have it",)
    outcome: Outcome | None = None
    try:
        faults = draw(asked.seed, asked.kills, tuple(site.disks))
        lasts_s = sum(fault.then_s for fault in faults)
        say(f"seed {asked.seed}: {len(faults)} faults in {lasts_s / 60:.0f} min, {asked.uploads} uploads")
        await asyncio.to_thread(site.start)
        await asyncio.to_thread(site.give_tokens)
        with watched(site, journal):
            troubles = await _under_faults(asked, faults, site, provider, journal, late, bar)
        evidence = await read_evidence(site.kafka, pager=site.data / "pager.jsonl", provider=site.provider, journal=site.journal)
        verdict = await asyncio.to_thread(check, evidence)
        outcome = Outcome(verdict, list(evidence.journal), await _rebuild_proof(site), tuple(troubles), skipped, time.monotonic() - begun_s)
        return outcome
    finally:
        journal.close()
        await asyncio.to_thread(site.end)
        await asyncio.to_thread(site.give_back, keep=outcome is None or not outcome.holds)
        provider.close()


async def _under_faults(
    asked: Asked, faults: list[Fault], site: Site, provider: Provider, journal: Journal, late: list[People], bar: Progress
) -> list[str]:
    """Have uploads, people and faults at once, then let all come to rest; return what went wrong with the run itself."""
    sent, struck = bar.add_task("uploads accepted", total=asked.uploads), bar.add_task("faults", total=len(faults))
    async with AsyncExitStack() as lines:
        clinic_line = await lines.enter_async_context(site.line(site.client["clinic_token"]))
        people_lines = {person: await lines.enter_async_context(site.line(site.tokens[person])) for person in PEOPLE}
        people = People(people_lines, site.data / "pager.jsonl", journal, asked.seed)
        late.append(people)
        clinics = Clinics(clinic_line, journal, lambda: bar.advance(sent))
        nemesis = Nemesis(site, provider, journal)
        acting = asyncio.create_task(people.act())
        try:
            sending = asyncio.create_task(clinics.send_all(uploads(asked.seed, asked.uploads), within_s=0.95 * sum(fault.then_s for fault in faults)))
            await nemesis.strike(faults, lambda _: bar.advance(struck))
            journal.write("fault", name="(faults end)", target="")
            unrest = await _come_to_rest(site, people, sending, bar)
        finally:
            sending.cancel()
            acting.cancel()
            with suppress(asyncio.CancelledError):
                await acting
    journal.write("readiness", ready=True)
    return [*nemesis.not_done, *clinics.refused, *people.unanswered, *unrest]


async def _come_to_rest(site: Site, people: People, sending: asyncio.Task[None], bar: Progress) -> list[str]:
    """Wait until all is accepted, no case is left to decide and nothing is written for a while; return what of that was not in its time."""
    task = bar.add_task("coming to rest", total=None)
    try:
        await asyncio.to_thread(site.until_ready, READY_AGAIN_WITHIN_S)
    except AssertionError as error:
        return [str(error)]
    await asyncio.wait({sending}, timeout=SETTLES_WITHIN_S)
    if not sending.done():
        return [f"some uploads were not accepted within {SETTLES_WITHIN_S:.0f} s after the last fault"]
    sending.result()  # or what ended it
    try:
        async with asyncio.timeout(SETTLES_WITHIN_S):
            await _until_quiet(site, people, lambda told: bar.update(task, description=f"coming to rest: {told}"))
    except TimeoutError:
        return [f"it did not come to rest within {SETTLES_WITHIN_S:.0f} s"]
    bar.update(task, total=1, completed=1)
    return []


async def _until_quiet(site: Site, people: People, say: Callable[[str], None]) -> None:
    known, quiet_since_s = -1, time.monotonic()
    while time.monotonic() - quiet_since_s < QUIET_S:
        undecided = await people.finish()
        now = await ends_of(site.kafka)
        if now != known or undecided:
            known, quiet_since_s = now, time.monotonic()
        say(f"{now} records, {undecided} cases to decide")
        await asyncio.sleep(1.0)


async def _rebuild_proof(site: Site) -> Rebuilt:
    """Compare what Redis holds with the log; have it rebuilt; compare again. Equal both times, and nothing more was written or rung by it."""
    before = await ends_of(site.kafka), len(site.pages())
    told = [await asyncio.to_thread(_rebuild, site.data, *words) for words in (("--check",), (), ("--check",))]
    await asyncio.sleep(QUIET_S)
    after = await ends_of(site.kafka), len(site.pages())
    words = " / ".join(said for _, said in told)
    if after != before:
        return Rebuilt(False, f"{words}: it made {after[0] - before[0]} records and {after[1] - before[1]} pages more")
    return Rebuilt(all(went_well for went_well, _ in told), words)


def _rebuild(data: Path, *words: str) -> tuple[bool, str]:
    command = [sys.executable, "-m", "services.program", "ops", "rebuild", *words, "--data", str(data)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=REBUILT_WITHIN_S)
    except subprocess.TimeoutExpired:
        return False, f"ops rebuild {' '.join(words)} did not end within {REBUILT_WITHIN_S:.0f} s"
    return done.returncode == 0, (done.stdout + done.stderr).strip()[-1000:]
