"""Tasks named by content: what changes an id and what does not, and graphs that survive a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vvscale.errors import DataError, MissingDataError
from vvscale.study.graph.graph import Graph

VERSIONS = {"a": "1", "b": "1"}
RECIPE = {"name": "long", "settings": list(range(100))}


def build(versions=VERSIONS, **changes) -> Graph:
    builder = Graph(versions)
    params = {"x": 1.5, "recipe": RECIPE, **changes}
    first = builder.add("a", params, label="first", seconds=2.0, flop=3.0, n_bytes=4.0, publish={"o": "r/o"})
    builder.add("b", {"y": None}, inputs={"one": first, "many": (first, first)}, label="second")
    return builder


def test_the_same_work_has_the_same_id_whatever_it_is_called():
    builder = Graph(VERSIONS)
    one = builder.add("a", {"x": 1, "y": {"b": 1, "a": 2}}, label="one", seconds=1.0, publish={"f": "g"})
    two = builder.add("a", {"y": {"a": 2, "b": 1}, "x": 1}, label="two")
    assert one == two
    assert len(builder) == 1


@pytest.mark.parametrize("change", [{"x": 2.5}, {"recipe": {**RECIPE, "settings": [*range(99), 0]}}, {"z": 1}])
def test_a_changed_parameter_changes_the_task_and_what_needs_it(change: dict):
    before, after = build(), build(**change)
    assert {task.id for task in before.tasks}.isdisjoint(task.id for task in after.tasks)


def test_a_raised_version_redoes_the_kind_and_what_needs_it():
    before = build()
    first, second = build({"a": "2", "b": "1"}).tasks
    assert (first.id, second.id) != tuple(task.id for task in before.tasks)
    assert build({"a": "1", "b": "2"}).tasks[0].id == before.tasks[0].id
    assert build({"a": "1", "b": "2"}).tasks[1].id != before.tasks[1].id


def test_an_id_is_the_same_tomorrow():
    # Frozen: finished work of every user is found by these.
    assert [task.id for task in build().tasks] == ["be14de9f24d9819b55d2", "83dc5bd0c074d4f531a0"]


def test_a_graph_survives_its_file(tmp_path: Path):
    graph = build()
    graph.write(tmp_path / "g.jsonl")
    read = Graph.read(tmp_path / "g.jsonl")
    assert read.tasks == graph.tasks
    assert read.digest == graph.digest
    assert (tmp_path / "g.jsonl").read_text().count("settings") == 1


def test_shared_values_are_written_once(tmp_path: Path):
    builder = Graph(VERSIONS)
    for number in range(50):
        builder.add("a", {"x": number, "recipe": RECIPE})
    builder.write(tmp_path / "g.jsonl")
    assert (tmp_path / "g.jsonl").read_text().count("settings") == 1
    assert all(task.params["recipe"] == RECIPE for task in Graph.read(tmp_path / "g.jsonl").tasks)


def test_a_missing_or_damaged_plan_says_what_to_do(tmp_path: Path):
    with pytest.raises(MissingDataError, match="run `vvscale study run SPEC` first"):
        Graph.read(tmp_path / "g.jsonl")
    build().write(tmp_path / "g.jsonl")
    text = (tmp_path / "g.jsonl").read_text()
    lines = text.splitlines()
    for damaged in ("", text[:-40], "\n".join(lines[:-1]), text.replace('"first"', '"first'), "[]\n", "x"):
        (tmp_path / "g.jsonl").write_text(damaged)
        with pytest.raises(DataError, match="Remove it and run the same command again"):
            Graph.read(tmp_path / "g.jsonl")


@pytest.mark.parametrize(
    ("what", "by"),
    [
        ('"x":1.5', '"x":2.5'),
        ('"settings":[0,1', '"settings":[0,7'),
        ('"y":null', '"y":1'),
        ('"r/o"', '"../o"'),
        ('"r/o"', '"/etc/o"'),
        ('{"o":', '{"../../o":'),
        ('{"a":"1"', '{"a":"2"'),
        ("vvscale-graph-2", "vvscale-graphs"),
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused(tmp_path: Path, what: str, by: str):
    path = tmp_path / "g.jsonl"
    build().write(path)
    text = path.read_text()
    assert what in text
    path.write_text(text.replace(what, by))
    with pytest.raises(DataError, match="Remove it and run the same command again"):
        Graph.read(path)


def test_a_task_of_another_plan_is_refused_though_its_own_id_is_right(tmp_path: Path):
    """As a copied line, or a plan written over in part, would have it."""
    plans = []
    for value in (1, 2):
        builder = Graph(VERSIONS)
        builder.add("a", {"x": 0})
        builder.add("a", {"x": value})
        builder.write(tmp_path / "g.jsonl")
        plans.append((tmp_path / "g.jsonl").read_text().splitlines())
    (tmp_path / "g.jsonl").write_text("\n".join([*plans[0][:-1], plans[1][-1]]) + "\n")
    with pytest.raises(DataError, match="its tasks are not those that its first line announces"):
        Graph.read(tmp_path / "g.jsonl")


def test_an_id_that_is_not_that_of_its_content_is_refused(tmp_path: Path):
    made = build()
    made.write(tmp_path / "g.jsonl")
    text = (tmp_path / "g.jsonl").read_text()
    last = made.tasks[-1].id
    (tmp_path / "g.jsonl").write_text(text.replace(last, "0" * len(last)))
    with pytest.raises(DataError, match=f"the task 'second' is not what its id '{'0' * len(last)}' says"):
        Graph.read(tmp_path / "g.jsonl")


def test_nan_has_no_place_in_a_parameter():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Graph(VERSIONS).add("a", {"x": float("nan")})


def test_dependants():
    assert build().dependants() == [[1, 1, 1], []]
    assert json.dumps(build().kinds) == '["a", "b"]'
