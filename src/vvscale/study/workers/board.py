"""What is done, running, failed, blocked or ready, as one worker or watcher knows it.

Fed by events of all journals in any order: of two events of a task the one with the higher claim counts, and of one
claim the later in a task's life. The board may be behind; the tasks' folders decide.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from vvscale.study.graph.graph import Graph
from vvscale.study.workers.journal import Event, What


class Status(Enum):
    """Where a task stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


_VOID = 2
_AFTER = {
    What.STARTED.value: (0, Status.RUNNING),
    What.DONE.value: (1, Status.DONE),
    What.FAILED.value: (1, Status.FAILED),
    What.BROKEN.value: (_VOID, Status.WAITING),
    What.RETRY.value: (_VOID, Status.WAITING),
}


@dataclass
class Board:
    """The state of every task of a graph.

    Attributes
    ----------
    graph
        The tasks.
    shard, n_shards
        Which tasks this worker prefers; chains of tasks stay together.
    status
        Per task.
    running
        Position -> worker, as last heard.
    retries
        Position -> number of the claim whose failure may be tried again.
    """

    graph: Graph
    shard: int = 0
    n_shards: int = 1
    status: list[Status] = field(init=False)
    running: dict[int, str] = field(init=False, default_factory=dict)
    retries: dict[int, int] = field(init=False, default_factory=dict)
    n_open: int = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.graph)
        self.status = [Status.WAITING] * n
        self.n_open = n
        self._latest = [(-1, -1)] * n
        self._after = self.graph.dependants()
        self._missing = [sum(1 for _ in task.needs) for task in self.graph.tasks]
        self._rank, self._is_mine = _order(self.graph, self.shard, self.n_shards)
        self._mine: list[tuple[int, int]] = []
        self._others: list[tuple[int, int]] = []
        for number in range(n):
            if not self._missing[number]:
                self._push(number)

    def apply(self, events: Iterable[Event]) -> None:
        """Take note of events."""
        for event in events:
            number = self.graph.index.get(event.task_id)
            step = _AFTER.get(event.what)
            if number is None or step is None or (event.generation, step[0]) <= self._latest[number]:
                continue
            self._latest[number] = (event.generation, step[0])
            if event.what == What.STARTED:
                self.running[number] = event.worker
            if event.what == What.RETRY:
                self.retries[number] = event.generation
            self.set(number, step[1])

    def set(self, number: int, status: Status) -> None:
        """Change a task's state and what follows from it; what cannot run for a failed input is blocked."""
        if status is Status.WAITING and self._lacks_for_good(number):
            status = Status.BLOCKED
        before = self.status[number]
        self.status[number] = status
        self.n_open += (status in _OPEN) - (before in _OPEN)
        if status is not Status.RUNNING:
            self.running.pop(number, None)
        if status is Status.WAITING and not self._missing[number]:
            self._push(number)
        if status is before:
            return
        if Status.DONE in (status, before):
            self._tell_dependants(number, -1 if status is Status.DONE else 1)
        if status in _STUCK:
            for after in self._after[number]:
                if self.status[after] is Status.WAITING:
                    self.set(after, Status.BLOCKED)
        elif before in _STUCK:
            for after in self._after[number]:
                if self.status[after] is Status.BLOCKED:
                    self.set(after, Status.WAITING)

    def next(self, *, mine_only: bool = False) -> int | None:
        """Return the ready task that should be tried first, or None; it is not offered again until it changes."""
        for heap in (self._mine,) if mine_only else (self._mine, self._others):
            while heap:
                _, number = heapq.heappop(heap)
                if self.status[number] is Status.WAITING and not self._missing[number]:
                    return number
        return None

    def generation(self, number: int) -> int:
        """Return the highest claim of a task that was heard of, -1 for none."""
        return self._latest[number][0]

    def floor(self, number: int) -> int:
        """Return the highest claim that is known to be void, -1 for none; a removed folder forgets its claims."""
        generation, step = self._latest[number]
        return generation if step == _VOID else -1

    def count(self) -> dict[str, dict[Status, int]]:
        """Return, per kind, how many tasks are in each state."""
        counts = {kind: dict.fromkeys(Status, 0) for kind in self.graph.kinds}
        for task, status in zip(self.graph.tasks, self.status, strict=True):
            counts[task.kind][status] += 1
        return counts

    def numbers(self, status: Status) -> list[int]:
        """Return the positions of all tasks in a state."""
        return [number for number, one in enumerate(self.status) if one is status]

    def _push(self, number: int) -> None:
        heapq.heappush(self._mine if self._is_mine[number] else self._others, (self._rank[number], number))

    def _tell_dependants(self, number: int, change: int) -> None:
        for after in self._after[number]:
            self._missing[after] += change
            if not self._missing[after] and self.status[after] is Status.WAITING:
                self._push(after)

    def _lacks_for_good(self, number: int) -> bool:
        """Whether an input failed or is blocked itself."""
        if not self._missing[number]:
            return False
        return any(self.status[self.graph.index[one]] in _STUCK for one in self.graph.tasks[number].needs)


_OPEN = (Status.WAITING, Status.RUNNING)
_STUCK = (Status.FAILED, Status.BLOCKED)


def _order(graph: Graph, shard: int, n_shards: int) -> tuple[list[int], list[bool]]:
    """Return each task's place in the queue, and whether it belongs to this shard.

    Later stages first, so that results and failures show early; within a stage the longest first, so that no worker is
    left with a long one at the end. A task of one input belongs to the shard of that input.
    """
    depth: list[int] = []
    home: list[int] = []
    longest_first = sorted(range(len(graph)), key=lambda n: -graph.tasks[n].seconds)
    turn = [0] * len(graph)
    for place, number in enumerate(longest_first):
        turn[number] = place
    for number, task in enumerate(graph.tasks):
        needed = [graph.index[one] for one in task.needs]
        depth.append(1 + max((depth[one] for one in needed), default=-1))
        home.append(home[needed[0]] if len(needed) == 1 else turn[number])
    queue = sorted(range(len(graph)), key=lambda n: (-depth[n], turn[n]))
    rank = [0] * len(graph)
    for place, number in enumerate(queue):
        rank[number] = place
    return rank, [home[number] % n_shards == shard for number in range(len(graph))]
