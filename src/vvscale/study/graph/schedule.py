"""Which task may run next: the state of every task of a graph, and what follows from a change.

Used by a run, and by the estimate that simulates one. This module knows neither files nor workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from enum import Enum

from vvscale.study.graph.graph import Graph


class State(Enum):
    """Where a task stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


_OPEN = (State.WAITING, State.RUNNING)
_LOST = (State.FAILED, State.BLOCKED)


class Schedule:
    """The state of all tasks.

    A task may run when all its inputs are done. If an input fails, the task is blocked; unless the input's role is one
    that its kind ``may_lack``: then it may run, with what there is, once all its inputs have ended.

    Tasks wait in ``queues``, one name for each task of the graph; by default all in one. ``may_lack``: kind -> roles.

    Attributes
    ----------
    n_open
        Number of tasks that wait or run.
    counts
        Kind -> number of its tasks in each state.
    """

    def __init__(
        self,
        graph: Graph,
        may_lack: Mapping[str, tuple[str, ...]] | None = None,
        queues: Sequence[str] | None = None,
    ) -> None:
        n = len(graph)
        self.graph = graph
        self.n_open = n
        self.counts = {kind: dict.fromkeys(State, 0) for kind in graph.kinds}
        self.rank = _ranks(graph)
        self._states = [State.WAITING] * n
        self._may_lack = dict(may_lack or {})
        self._after = graph.dependants()
        # Inputs that have not ended yet, of each task.
        self._missing = [sum(1 for _ in task.needs) for task in graph.tasks]
        self._queues = queues or [""] * n
        self._ready: dict[str, list[tuple[int, int]]] = {name: [] for name in self._queues}
        for number, task in enumerate(graph.tasks):
            self.counts[task.kind][State.WAITING] += 1
            self._offer(number)

    def state(self, number: int) -> State:
        """Return the state of the task at a position of the graph."""
        return self._states[number]

    def numbers(self, state: State) -> list[int]:
        """Return the positions of all tasks in a state."""
        return [number for number, one in enumerate(self._states) if one is state]

    def next(self, queue: str = "") -> int | None:
        """Return the position of the task to run next, or None; it is not offered again until its state changes."""
        ready = self._ready.get(queue)
        while ready:
            _, number = heapq.heappop(ready)
            if self._states[number] is State.WAITING and not self._missing[number]:
                return number
        return None

    def lacking(self, number: int) -> list[str]:
        """Return the ids of a task's inputs that are not to be had."""
        return [one for one in self.graph.tasks[number].needs if self._states[self.graph.index[one]] in _LOST]

    def set(self, number: int, state: State) -> None:
        """Change the state of a task, and what follows from it."""
        changes = [(number, state)]
        while changes:
            number, state = changes.pop()
            if state is State.WAITING and self._is_blocked(number):
                state = State.BLOCKED
            before = self._states[number]
            if state is before and state is not State.WAITING:
                continue
            self._states[number] = state
            counts = self.counts[self.graph.tasks[number].kind]
            counts[before] -= 1
            counts[state] += 1
            self.n_open += (state in _OPEN) - (before in _OPEN)
            if (state in _OPEN) is not (before in _OPEN):
                self._tell(number, 1 if state in _OPEN else -1)
            # Only a loss, or its end, changes what is blocked; asking after every task would cost n x n.
            for after in self._after[number] if (state in _LOST) is not (before in _LOST) else ():
                if self._states[after] in (State.WAITING, State.BLOCKED):
                    changes.append((after, State.WAITING))
            self._offer(number)

    def _tell(self, number: int, change: int) -> None:
        """Count an input that ended, or is to be made again, in all tasks that need it."""
        for after in self._after[number]:
            self._missing[after] += change
            self._offer(after)

    def _offer(self, number: int) -> None:
        """Put a task into its queue if it may run."""
        if self._states[number] is State.WAITING and not self._missing[number]:
            heapq.heappush(self._ready[self._queues[number]], (self.rank[number], number))

    def _is_blocked(self, number: int) -> bool:
        """Whether all inputs of a task are lost, or one that it cannot do without."""
        task, lost = self.graph.tasks[number], set(self.lacking(number))
        optional = self._may_lack.get(task.kind, ())
        musts = [ids for role, ids in task.inputs.items() if role not in optional]
        is_short = any(not lost.isdisjoint((ids,) if isinstance(ids, str) else ids) for ids in musts)
        return is_short or (bool(lost) and lost == set(task.needs))


def _ranks(graph: Graph) -> list[int]:
    """Return each task's place in the queue.

    Later stages first, so that results and failures show early; within a stage the longest first, so that no worker is
    left with a long one at the end.
    """
    depth: list[int] = []
    for task in graph.tasks:
        depth.append(1 + max((depth[graph.index[one]] for one in task.needs), default=-1))
    queue = sorted(range(len(graph)), key=lambda n: (-depth[n], -graph.tasks[n].seconds))
    ranks = [0] * len(graph)
    for place, number in enumerate(queue):
        ranks[number] = place
    return ranks
