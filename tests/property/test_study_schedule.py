"""Which task may run when: random graphs, random ends, in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vvscale.study.graph.graph import Graph
from vvscale.study.graph.schedule import Schedule, State
from vvscale.study.tasks.registry import TASKS

VERSIONS = {kind: TASKS[kind].version for kind in ("noop", "collect")}
MAY_LACK = {"collect": ("of",)}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Tasks that need some earlier ones; a collect may lack inputs, a noop may not."""
    builder, ids = Graph(VERSIONS), []
    for number in range(draw(st.integers(1, 12))):
        needed = draw(st.lists(st.sampled_from(ids), unique=True, max_size=4)) if ids else []
        kind = draw(st.sampled_from(["noop", "collect"])) if needed else "noop"
        seconds = draw(st.floats(0, 9))
        ids.append(builder.add(kind, {"number": number}, inputs={"of": tuple(needed)}, seconds=seconds))
    return builder


def truth(graph: Graph, own: dict[int, State]) -> list[State]:
    """The state of every task, worked out from nothing: what it is itself, unless what it needs is lost."""
    states: list[State] = []
    for number, task in enumerate(graph.tasks):
        inputs = [states[graph.index[one]] for one in task.needs]
        lost = [one in (State.FAILED, State.BLOCKED) for one in inputs]
        is_blocked = bool(lost) and (all(lost) if task.kind == "collect" else any(lost))
        mine = own.get(number, State.WAITING)
        states.append(State.BLOCKED if is_blocked and mine is State.WAITING else mine)
    return states


def check(schedule: Schedule, graph: Graph, own: dict[int, State]) -> None:
    expected = truth(graph, own)
    assert [schedule.state(number) for number in range(len(graph))] == expected
    assert schedule.n_open == sum(one in (State.WAITING, State.RUNNING) for one in expected)
    for kind, counts in schedule.counts.items():
        of_kind = [one for one, task in zip(expected, graph.tasks, strict=True) if task.kind == kind]
        assert counts == {state: of_kind.count(state) for state in State}


@given(graphs(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_run_offers_what_may_run_and_ends_when_nothing_may(graph: Graph, data: st.DataObject):
    schedule, own, running = Schedule(graph, MAY_LACK), {}, []
    ended = (State.DONE, State.FAILED, State.BLOCKED)
    for _ in range(200):
        while (number := schedule.next()) is not None:
            inputs = [schedule.state(graph.index[one]) for one in graph.tasks[number].needs]
            assert all(one in ended for one in inputs)
            assert graph.tasks[number].kind == "collect" or all(one is State.DONE for one in inputs)
            schedule.set(number, State.RUNNING)
            own[number] = State.RUNNING
            running.append(number)
        check(schedule, graph, own)
        if not running:
            break
        number = running.pop(data.draw(st.integers(0, len(running) - 1)))
        end = data.draw(st.sampled_from([State.DONE, State.DONE, State.FAILED, State.WAITING]))
        needed = [graph.index[one] for one in graph.tasks[number].needs if own.get(graph.index[one]) is State.DONE]
        if end is State.WAITING and needed and data.draw(st.booleans()):
            # An input was found damaged: it is made again, and the task waits for it.
            own[needed[0]] = State.WAITING
            schedule.set(needed[0], State.WAITING)
        own[number] = end
        schedule.set(number, end)
        check(schedule, graph, own)
    else:
        return
    assert not schedule.n_open
    assert not schedule.numbers(State.WAITING)


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_later_stages_come_first_and_in_a_stage_the_longest(graph: Graph):
    schedule, order = Schedule(graph), []
    while (number := schedule.next()) is not None:
        order.append(number)
    assert order == sorted(order, key=lambda n: -graph.tasks[n].seconds)
    for task, number in ((graph.tasks[n], n) for n in range(len(graph))):
        assert all(schedule.rank[graph.index[one]] > schedule.rank[number] for one in task.needs)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_parameter_changes_exactly_what_depends_on_it(shape: list[int], data: st.DataObject):
    """Random graphs: each task needs some earlier ones; one parameter changes."""

    def build(values: list[int]) -> Graph:
        builder, ids = Graph(VERSIONS), []
        for number, (n_inputs, value) in enumerate(zip(shape, values, strict=True)):
            needed = tuple(ids[(number * 7 + step * 3) % number] for step in range(n_inputs)) if number else ()
            ids.append(builder.add("noop", {"number": number, "value": value}, inputs={"of": needed}))
        return builder

    values = [0] * len(shape)
    changed = data.draw(st.integers(0, len(shape) - 1))
    before, after = build(values), build([*values[:changed], 1, *values[changed + 1 :]])
    reached = {changed}
    for number, task in enumerate(before.tasks):
        if any(before.index[needed] in reached for needed in task.needs):
            reached.add(number)
    differing = {n for n, (a, b) in enumerate(zip(before.tasks, after.tasks, strict=True)) if a.id != b.id}
    assert differing == reached


def test_a_task_runs_on_what_it_must_have_though_all_that_it_may_lack_is_lost():
    for must_fail in (False, True):
        graph = Graph(VERSIONS)
        must, may = graph.add("noop", {"number": 0}), graph.add("noop", {"number": 1})
        graph.add("collect", {"number": 2}, inputs={"base": must, "of": (may,)})
        schedule = Schedule(graph, MAY_LACK)
        schedule.set(graph.index[may], State.FAILED)
        schedule.set(graph.index[must], State.FAILED if must_fail else State.DONE)
        assert schedule.state(2) is (State.BLOCKED if must_fail else State.WAITING)


def test_a_task_that_comes_back_after_its_input_failed_is_blocked():
    """Its input was found damaged by another task, made again, and failed, while this one ran and was lost."""
    builder = Graph(VERSIONS)
    first = builder.add("noop", {"number": 0})
    builder.add("noop", {"number": 1}, inputs={"of": first})
    schedule = Schedule(builder, MAY_LACK)
    for number, state in ((0, State.DONE), (1, State.RUNNING), (0, State.WAITING), (0, State.FAILED)):
        schedule.set(number, state)
    schedule.set(1, State.WAITING)
    assert schedule.state(1) is State.BLOCKED
    assert (schedule.next(), schedule.n_open) == (None, 0)
