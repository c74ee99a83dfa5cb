"""What cannot be had is a note, and the rest is made."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from vvscale.core.config import from_table
from vvscale.errors import DataError
from vvscale.study.graph.kinds import TaskContext
from vvscale.study.graph.task_folder import TaskFolder
from vvscale.study.spec.schema import LawSpec
from vvscale.study.tasks.findings import findings
from vvscale.study.tasks.pipeline import run_figures, run_fit, run_report, run_table
from vvscale.study.tasks.rows import read_notes, score_rows


def law(**fields) -> dict:
    import dataclasses

    return dataclasses.asdict(from_table(LawSpec, {"name": "it", **fields}, "the law"))


def table(folder: Path, rows: pd.DataFrame) -> Path:
    out = folder / "table" / "out"
    out.mkdir(parents=True)
    rows.to_parquet(out / "scores.parquet", index=False)
    return out


def context(folder: Path, params: dict, **inputs) -> TaskContext:
    out = folder / "own"
    out.mkdir(exist_ok=True)
    return TaskContext(params=params, inputs=inputs, out=out)


def test_a_law_that_rows_do_not_give_is_a_note(tmp_path: Path, gokce2025: pd.DataFrame):
    few = gokce2025[gokce2025["model_id"].isin(gokce2025["model_id"].unique()[:2])]
    it = context(tmp_path, {"law": law()}, table=table(tmp_path, few))
    result = run_fit(it)
    assert result["fits"] == []
    assert result["notes"][0].startswith("not fitted: ")
    TaskFolder(it.out.parent).write_done({"result": result, "outputs": {}}, durable=False)
    assert read_notes(it.out) == result["notes"]
    told = findings({"it": it.out}, [])
    assert list(told) == ["Not to be had"]
    assert told["Not to be had"]["what"].tolist() == ["it"]


def test_a_law_that_gives_no_plan_keeps_its_fit(tmp_path: Path, gokce2025: pd.DataFrame):
    it = context(tmp_path, {"law": law(law="power", missing="drop", budgets=[1e20])}, table=table(tmp_path, gokce2025))
    result = run_fit(it)
    assert len(result["fits"]) == 1
    assert result["notes"][0].startswith("not planned: ")
    assert (it.out / "fits.json").exists()
    assert not (it.out / "plan.json").exists()


def test_a_figure_that_a_table_does_not_allow_is_a_note(tmp_path: Path, gokce2025: pd.DataFrame):
    rows = gokce2025.drop(columns=["accuracy"], errors="ignore")
    it = context(tmp_path, {"names": ["accuracy"]}, table=table(tmp_path, rows))
    result = run_figures(it)
    assert result["drawn"] == []
    assert "accuracy" in result["notes"][0]


def test_a_report_of_a_table_that_allows_none_is_a_note(tmp_path: Path, gokce2025: pd.DataFrame):
    names_only = gokce2025[["model_id", "arch", "dataset"]].drop_duplicates()
    it = context(tmp_path, {"title": "T"}, table=table(tmp_path, names_only), fits=(), forecasts=())
    note = run_report(it)["notes"][0]
    assert note.startswith("no report: Table ")
    assert "has no column 'score'" in note


def test_a_full_disk_is_no_note(tmp_path: Path, gokce2025: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    def full(*words, **more):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise DataError("the disk is full") from error

    monkeypatch.setattr("vvscale.laws.workflow.fit_tables.run_fits", full)
    it = context(tmp_path, {"law": law()}, table=table(tmp_path, gokce2025))
    with pytest.raises(DataError, match="full"):
        run_fit(it)


def test_notes_of_scores_come_with_the_table(tmp_path: Path, gokce2025: pd.DataFrame):
    folders = []
    for number, (_, rows) in enumerate(list(gokce2025.groupby("model_id"))[:2]):
        folder = tmp_path / str(number) / "out"
        folder.mkdir(parents=True)
        rows.to_parquet(folder / "rows.parquet", index=False)
        folders.append(folder)
    done = {"result": {"notes": ["m, layer4: constant"]}, "outputs": {}}
    TaskFolder(folders[1].parent).write_done(done, durable=False)
    it = context(tmp_path, {"store": None}, scores=tuple(folders))
    assert run_table(it)["notes"] == ["m, layer4: constant"]


def test_scores_that_are_lacking_leave_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failure = SimpleNamespace(layer="layer4", reason="constant")

    def scorer(rows: pd.DataFrame):
        def run(models, **options):
            assert options["out"] is None, "nothing is stored to be thrown away"
            yield SimpleNamespace(model_id="m", rows=rows, scores=SimpleNamespace(failures=[failure]))
            raise DataError("1 of the layers asked for have no score")

        return run

    it = context(tmp_path, {"benchmarks": [{"id": "b"}], "options": {}})
    monkeypatch.setattr("vvscale.brain.scoring.run.run_scores", scorer(pd.DataFrame({"score": [0.5]})))
    rows, lacking = score_rows(it, "m", layers="committed")
    assert (len(rows), lacking) == (1, ["m, layer4: constant"])
    monkeypatch.setattr("vvscale.brain.scoring.run.run_scores", scorer(pd.DataFrame({"score": []})))
    with pytest.raises(DataError, match="No score of 'm' is to be had"):
        score_rows(it, "m", layers="committed")
