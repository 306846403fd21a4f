"""Simulated telephones and their providers: what each took, and what it said of that."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from contracts.deliveries import Failure
from contracts.ids import NoticeId
from services.notify.notice import Failed, Notice, Outcome, Sent, Unknown
from services.runtime.errors import Away
from tests.sim.faults import Chance
from tests.sim.world import World


@dataclass(frozen=True)
class Rung:
    """A telephone rang."""

    notice: Notice
    at_s: float


class Providers:
    """What the providers of everybody took; on_ring hears of each notice as it is taken."""

    def __init__(self) -> None:
        self.rung: list[Rung] = []
        self.taken: set[NoticeId] = set()
        self.on_ring: list[Callable[[Rung], None]] = []

    def hands(self, world: World) -> "SimulatedHands":
        return SimulatedHands(world, self)

    def take(self, world: World, notice: Notice) -> None:
        rung = Rung(notice, world.loop.time())
        self.rung.append(rung)
        self.taken.add(notice.notice_id)
        for hear in self.on_ring:
            hear(rung)


class SimulatedHands:
    """The ways out of one group of notices. A provider that says no, or says nothing, does so by the seed while there are faults."""

    def __init__(self, world: World, providers: Providers) -> None:
        self._world, self._providers = world, providers

    async def hand_over(self, notice: Notice, address: SecretStr) -> Outcome:
        """Return what is known of the notice. Raises Away as a pager of this machine does whose disk does not answer."""
        mood = Chance(self._world.seed, f"{notice.notice_id} {len(self._providers.rung)}").below(20) if self._world.plan.on else 20
        if mood == 0 and self._world.plan.allows(f"no/{notice.notice_id}"):
            return Failed(Failure.TEMPORARY, "the provider says no")
        if mood == 1 and self._world.plan.allows(f"never/{notice.notice_id}"):
            return Failed(Failure.PERMANENT, "the provider says never")
        try:
            await self._world.call("hands.hand_over", "pager", lambda: self._providers.take(self._world, notice), notice.notice_id)
        except Away as away:
            if away.cause == "done, perhaps":
                return Unknown("the provider did not answer in time")
            raise
        return Sent()
