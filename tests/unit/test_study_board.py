"""What a worker believes of every task, from events in any order."""

from __future__ import annotations

import itertools

from vvscale.study.graph.graph import GraphBuilder
from vvscale.study.workers.board import Board, Status
from vvscale.study.workers.journal import Event, What

VERSIONS = dict.fromkeys(("train", "score", "table"), "1")


def chain(n: int = 3):
    builder = GraphBuilder(VERSIONS)
    ends = []
    for number in range(n):
        train = builder.add("train", {"n": number}, seconds=float(number))
        ends.append(builder.add("score", {"n": number}, inputs={"train": train}))
    builder.add("table", {}, inputs={"scores": tuple(ends)})
    return builder.build()


def event(graph, number: int, what: What, generation: int = 0, worker: str = "w") -> Event:
    return Event(0.0, what.value, graph.tasks[number].id, generation, worker=worker)


def drain(board: Board) -> list[int]:
    """Run everything in the order in which one worker would."""
    order = []
    while (number := board.next()) is not None:
        board.set(number, Status.DONE)
        order.append(number)
    return order


def test_later_stages_first_and_the_longest_first():
    graph = chain()
    # Trains are 0, 2, 4 with growing duration; each score follows its train at once.
    assert drain(Board(graph)) == [4, 5, 2, 3, 0, 1, 6]


def test_shards_cover_everything_once_and_keep_chains_together():
    graph = chain(10)
    homes = []
    for shard in range(3):
        board = Board(graph, shard, 3)
        mine = []
        while (number := board.next(mine_only=True)) is not None:
            board.set(number, Status.DONE)
            mine.append(number)
        homes.append(mine)
        assert all((number + 1 in mine) for number in mine if graph.tasks[number].kind == "train")
    trains = [number for home in homes for number in home if graph.tasks[number].kind == "train"]
    assert sorted(trains) == list(range(0, 20, 2))


def test_a_failure_blocks_what_needs_it_and_a_retry_frees_it():
    graph = chain()
    board = Board(graph)
    board.apply([event(graph, 0, What.STARTED), event(graph, 0, What.FAILED)])
    assert [board.status[n] for n in (0, 1, 6)] == [Status.FAILED, Status.BLOCKED, Status.BLOCKED]
    assert drain(board) == [4, 5, 2, 3]
    assert board.n_open == 0
    board.apply([event(graph, 0, What.RETRY)])
    assert board.retries == {0: 0}
    assert board.n_open == 3
    assert drain(board) == [0, 1, 6]


def test_one_of_two_failures_mended_frees_only_its_own():
    graph = chain()
    board = Board(graph)
    for number in (0, 2):
        board.apply([event(graph, number, What.FAILED)])
    board.apply([event(graph, 0, What.RETRY)])
    assert [board.status[n] for n in (1, 3, 6)] == [Status.WAITING, Status.BLOCKED, Status.BLOCKED]


def test_what_is_broken_while_its_input_failed_is_blocked():
    graph = chain()
    board = Board(graph)
    board.apply([event(graph, 0, What.DONE), event(graph, 1, What.DONE)])
    board.apply([event(graph, 0, What.BROKEN), event(graph, 0, What.FAILED, 1)])
    assert board.status[1] is Status.DONE
    board.apply([event(graph, 1, What.BROKEN)])
    assert board.status[1] is Status.BLOCKED
    assert board.status[6] is Status.BLOCKED


def test_the_order_in_which_journals_are_read_does_not_matter():
    graph = chain()
    history = [
        event(graph, 0, What.STARTED), event(graph, 0, What.FAILED), event(graph, 0, What.RETRY),
        event(graph, 0, What.STARTED, 1, "v"), event(graph, 0, What.DONE, 1, "v"),
    ]  # fmt: skip
    for order in itertools.permutations(history):
        board = Board(graph)
        board.apply(order)
        assert board.status[0] is Status.DONE
        assert board.status[1] is Status.WAITING
        assert not board.running
        assert board.n_open == len(graph) - 1


def test_who_runs_what():
    graph = chain()
    board = Board(graph)
    board.apply([event(graph, 0, What.STARTED, worker="a"), event(graph, 2, What.STARTED, worker="b")])
    assert board.running == {0: "a", 2: "b"}
    board.apply([event(graph, 0, What.DONE, worker="a")])
    assert board.running == {2: "b"}
    assert board.count()["train"] == {
        Status.WAITING: 1, Status.RUNNING: 1, Status.DONE: 1, Status.FAILED: 0, Status.BLOCKED: 0
    }  # fmt: skip


def test_strangers_events_are_ignored():
    graph = chain()
    board = Board(graph)
    board.apply([Event(0.0, "done", "no such task", 0), Event(0.0, "danced", graph.tasks[0].id, 0)])
    assert set(board.status) == {Status.WAITING}
    assert board.floor(0) == -1


def test_a_claim_that_is_void_is_not_taken_again():
    graph = chain()
    board = Board(graph)
    board.apply([event(graph, 0, What.DONE, 3)])
    assert board.floor(0) == -1
    board.apply([event(graph, 0, What.BROKEN, 3)])
    assert board.floor(0) == 3
