"""The gangs of a run: asked for as units wait for them, kept while there is work of their size, given back.

pool = Pool(ray, token=token, host_of=host, share_node=False)
pool.want({needs: 3})             # so many units wait for gangs of that size
pool.idle(needs)                  # gangs that can be given an order
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.executors.cluster.gangs import Gang, GangState
from harness.executors.cluster.worker import Host
from harness.runtime.needs import StageNeeds

MOST_PLACING = 8
"Gangs that are waited for at the same time."
PAUSE = 2.0
"Seconds after which gangs are asked for again when one was lost while it was started."
IDLE_SECONDS = 10.0
"How long a gang without work keeps its places, if nothing else wants them."
NAMESPACE = "xlift"


class Pool:
    """Gangs that this driver has asked for."""

    def __init__(self, ray: Any, *, token: str, host_of: Callable[[], Host], share_node: bool) -> None:
        """`token` tells this driver's actors from those of others."""
        self._ray, self._token, self._host_of, self._share_node = ray, token, host_of, share_node
        self._placing: list[Gang] = []
        self._idle: list[tuple[float, Gang]] = []
        self._busy: list[Gang] = []
        self._number = 0
        self._not_before = 0.0
        self._lost: list[Gang] = []

    def want(self, waiting: Mapping[StageNeeds, int]) -> None:
        """Ask for gangs for units that wait, up to a few at a time; give back those that nothing waits for."""
        for gang in self._placing:
            gang.look()
        arrived = [gang for gang in self._placing if gang.state == GangState.READY]
        lost = [gang for gang in self._placing if gang.state == GangState.LOST]
        if lost:
            self._not_before = time.monotonic() + PAUSE
        self._lost += lost
        self._placing = [gang for gang in self._placing if gang.state == GangState.PLACING]
        self._idle += [(time.monotonic(), gang) for gang in arrived]
        others = bool(self._placing) or any(not self.idle(needs) for needs in waiting)
        for since, gang in list(self._idle):
            if gang.needs not in waiting and (others or time.monotonic() - since > IDLE_SECONDS):
                self._idle.remove((since, gang))
                gang.end()
        for needs, count in waiting.items():
            coming = [gang for gang in self._placing if gang.needs == needs]
            own = len(coming) + sum(gang.needs == needs for _, gang in self._idle)
            room = 0 if time.monotonic() < self._not_before else MOST_PLACING - len(self._placing)
            for _ in range(min(count - own, room)):
                self._placing.append(self._asked(needs))
        for gang in [gang for gang in self._placing if gang.needs not in waiting]:
            self._placing.remove(gang)
            gang.end()

    def _asked(self, needs: StageNeeds) -> Gang:
        self._number += 1
        return Gang(
            self._ray,
            needs,
            host=self._host_of(),
            namespace=NAMESPACE,
            name=f"{self._token}-{self._number}",
            share_node=self._share_node,
        )

    def take_lost(self) -> list[Gang]:
        """Gangs that were lost before they were given anything, each once."""
        lost, self._lost = self._lost, []
        for gang in lost:
            gang.end()
        return lost

    def idle(self, needs: StageNeeds | None = None) -> list[Gang]:
        """Gangs that wait for an order (of that size)."""
        return [gang for _, gang in self._idle if needs is None or gang.needs == needs]

    def busy(self, gang: Gang) -> None:
        """A gang was given an order."""
        self._idle = [(since, other) for since, other in self._idle if other is not gang]
        self._busy.append(gang)

    def rest(self, gang: Gang, *, fit: bool) -> None:
        """A gang's order is done; one that is not fit for another is given back."""
        self._busy.remove(gang)
        gang.rest()
        if fit:
            self._idle.append((time.monotonic(), gang))
        else:
            gang.end()

    def working(self) -> list[Gang]:
        """Gangs that have an order."""
        return list(self._busy)

    def end(self) -> None:
        """Give all places back."""
        for gang in (*self._placing, *(gang for _, gang in self._idle), *self._busy, *self._lost):
            gang.end()
        self._placing, self._idle, self._busy, self._lost = [], [], [], []
