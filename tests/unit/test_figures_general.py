"""General figures of any table: what is drawn of it, what is said of what it lacks, and how it looks on a sheet."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend

from vvscale import errors
from vvscale.cli import main
from vvscale.figures.base.fits import Fits
from vvscale.figures.base.open_tables import open_source
from vvscale.figures.drawing.draw import draw
from vvscale.figures.drawing.ticks import log_ticks
from vvscale.figures.drawing.values import ADDED, Axis, FigureData, Panel, Series
from vvscale.figures.gallery import in_order, make
from vvscale.figures.options import DrawOptions
from vvscale.figures.plot import plot_fit, plot_fits
from vvscale.figures.report.laws import laws_of, sentences
from vvscale.laws import bootstrap, fit_law

GENERAL = in_order(presets=False)


def wide(n=24, seed=0):
    """A lab's own table: columns of its own, one row per run, no region, no model_id."""
    rng = np.random.default_rng(seed)
    size = np.geomspace(1e4, 1e8, n)
    return pd.DataFrame(
        {"width": size, "group": np.where(np.arange(n) % 2, "ours", "theirs"),
         "val_error": 0.2 + 6 * size**-0.35 + rng.normal(0, 0.003, n)}
    )  # fmt: skip


def long(seed=0):
    """A study of one family with two objectives and two regions."""
    rng = np.random.default_rng(seed)
    rows = []
    for objective in ("supervised", "simclr"):
        for i, n_params in enumerate(np.geomspace(1e5, 3e7, 6)):
            for images in (1_000, 10_000, 100_000):
                flop = 6 * n_params * 20 * images
                model = {
                    "model_id": f"{objective}-{i}-{images}", "arch": f"net{i}", "family": "Net", "dataset": "mine",
                    "n_params": n_params, "n_samples": images, "samples_per_class": images // 10,
                    "samples_seen": 20 * images, "train_flop": flop, "is_ssl": objective != "supervised",
                    "ssl_method": None if objective == "supervised" else objective, "accuracy": 0.3,
                }  # fmt: skip
                for region, top in (("V4", 0.5), ("IT", 0.6)):
                    gain = 0.3 * (flop / 1e10) ** -0.15
                    score = top - gain + rng.normal(0, 0.005)
                    rows.append({**model, "region": region, "benchmark_id": f"mine.{region}", "score": score})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fits")


@pytest.fixture(scope="module")
def fits_of(folder):
    def build(table, add=(), n_resamples=0):
        return Fits(open_source(table, add=add), n_resamples=n_resamples, folder=folder)

    return build


def test_a_table_of_ones_own_columns_is_drawn(fits_of):
    table = wide()
    data = make("scatter", fits_of(table), DrawOptions(x="width", y="val_error"))
    panel = data.panels[0]
    drawn = panel.rows[panel.rows["mark"] == "point"]
    np.testing.assert_array_equal(np.sort(drawn["x"]), table["width"])
    np.testing.assert_array_equal(np.sort(drawn["y"]), np.sort(table["val_error"]))
    (law,) = panel.fits
    own = fit_law(table, x="width", y="val_error")
    assert law["params"] == own.params
    assert law["limit"] == own.params["E"], "an error's limit is E itself, not 1 - E"
    curve = panel.rows[(panel.rows["mark"] == "curve") & (panel.rows["group"] == "data")]
    np.testing.assert_allclose(curve["y"], own.predict(curve["x"].to_numpy()), rtol=1e-12)
    assert (panel.x.label, panel.x.scale, panel.y.label) == ("width", "log", "val_error")


def test_what_each_general_figure_lacks_is_one_line(fits_of):
    for table in (wide().rename(columns={"val_error": "error"}), long()):
        fits = fits_of(table)
        for name in GENERAL:
            try:
                assert len(make(name, fits).table())
            except errors.MissingDataError as error:
                refusal = str(error)
                assert refusal.startswith(f"Figure '{name}' needs ")
                assert "\n" not in refusal


def test_most_general_figures_fit_a_small_study(fits_of):
    fits, drawn = fits_of(long()), []
    for name in GENERAL:
        try:
            drawn.append(make(name, fits).name)
        except errors.MissingDataError:
            continue
    assert set(GENERAL) - set(drawn) <= {"learning", "layers"}


def test_each_and_facet_and_where(fits_of):
    fits = fits_of(long())
    data = make("compute", fits, DrawOptions(each="objective", where=("is_ssl=true,false",)))
    assert {series.name for series in data.panels[0].series} == {"supervised", "simclr"}
    assert [series.label.partition(" (")[0] for series in data.panels[0].series] == ["supervised", "SimCLR"]
    assert len(data.panels[0].fits) == 2
    data = make("compute", fits, DrawOptions(facet="n_samples"))
    assert [panel.title for panel in data.panels] == [f"n_samples {n}" for n in (1000, 10_000, 100_000)]
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'objective'"):
        make("compute", fits, DrawOptions(each="objectiv"))
    with pytest.raises(errors.UsageError, match="preset of a paper"):
        make("icml-1b", fits, DrawOptions(y="IT"))


def test_defaults_are_said(fits_of):
    data = make("compute", fits_of(long()))
    assert data.panels[0].n == 18
    assert any("Left out: 18 models (ssl" in note for note in data.notes)
    assert data.panels[0].y.label == "Mean of V4, IT (ceiling = 1)"
    assert "18 models" in data.caption
    assert "Law: power" in data.caption


def test_captions_follow_the_data(fits_of):
    many = make("compute", fits_of(long(), n_resamples=10)).caption
    assert "95 % t interval, each of 6 architectures left out in turn" in many
    few = make("compute", fits_of(long()[lambda rows: rows["arch"] == "net0"])).caption
    assert "architectures" not in few
    for word in ("ICML", "CCN", "study", "four families"):
        assert word not in many


def test_an_extrapolation_does_not_set_the_limits(fits_of):
    """A law that runs to -30 before its points, and its band far beyond them, leave points readable."""
    data = make("scatter", fits_of(wide(), n_resamples=10), DrawOptions(x="width", y="val_error"))
    axes = draw(data).axes[0]
    table = wide()
    low, high = axes.get_xlim()
    assert low > table["width"].min() / 2
    assert high < table["width"].max() * 10
    bottom, top = axes.get_ylim()
    span = np.ptp(table["val_error"])
    assert bottom > table["val_error"].min() - 0.2 * span
    assert top < table["val_error"].max() + 0.2 * span


@pytest.mark.parametrize(("low", "high"), [(0.03, 0.2), (1e14, 1e20), (3.1, 3.4), (2e5, 9e5), (0.9, 1.2), (1e-4, 1e9)])
def test_a_log_axis_has_two_to_seven_labels(low, high):
    places, labels = log_ticks(low, high)
    assert 2 <= len(places) <= 7
    assert len(set(labels)) == len(labels) == len(places)
    assert all(low <= place <= high * (1 + 1e-9) for place in places)


def labelled(axis, limits):
    low, high = sorted(limits)
    inside = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_text()]
    return len(inside)


@pytest.mark.parametrize("name", sorted(set(GENERAL) - {"learning", "layers"}))
def test_sheets_have_ticks_and_hold_their_legends(fits_of, name):
    data = make(name, fits_of(long(), n_resamples=4))
    canvas = draw(data)
    canvas.draw_without_rendering()
    assert canvas.get_figwidth() in {3.25, 6.75}
    width, height = canvas.get_size_inches() * canvas.dpi
    texts = []
    for axes in (one for one in canvas.axes if one.get_visible()):
        if axes.get_title(loc="left"):
            assert labelled(axes.xaxis, axes.get_xlim()) >= 2, name
            assert labelled(axes.yaxis, axes.get_ylim()) >= 2, name
        texts += [child for child in axes.get_children() if isinstance(child, Legend)]
        texts += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
    for one in [*texts, *canvas.legends]:
        box = one.get_window_extent()
        assert box.x0 > -1, (name, one)
        assert box.x1 < width + 1, (name, one)
        assert box.y0 > -1, (name, one)
        assert box.y1 < height + 1, (name, one)


def test_long_names_stay_on_the_sheet_in_the_order_of_their_numbers(fits_of):
    """Architectures of one family, as in the demo: names too long for six of them side by side."""
    table = long().drop(columns=["is_ssl", "ssl_method"]).query("not model_id.str.startswith('simclr')")
    table["arch"] = "resnetflex-w" + (5 + table["arch"].str[3:].astype(int)).astype(str) + "-d1-1-1"
    regions = ("V1", "V2", "V4", "IT", "behavior")
    whole = [table[table["region"] == "V4"].assign(region=one, benchmark_id=f"mine.{one}") for one in regions]
    data = make("residuals", fits_of(pd.concat(whole, ignore_index=True), n_resamples=0))
    assert [panel.key for panel in data.panels] == ["a", "b"]
    canvas = draw(data)
    canvas.draw_without_rendering()
    legend = canvas.legends[0]
    widths = [int(text.get_text().partition("-w")[2].partition("-")[0]) for text in legend.get_texts()]
    assert widths == sorted(widths)
    assert len(widths) == 6
    box = legend.get_window_extent()
    assert box.x0 > -1
    assert box.x1 < canvas.get_figwidth() * canvas.dpi + 1


def test_words_on_contours_lie_inside_their_panel(fits_of):
    canvas = draw(make("contours", fits_of(long(), n_resamples=4)))
    canvas.draw_without_rendering()
    axes = canvas.axes[0]
    inside = axes.get_window_extent()
    words = [text.get_window_extent() for text in axes.texts if text.get_bbox_patch()]
    assert words
    for box in words:
        assert box.x0 > inside.x0 - 1
        assert box.x1 < inside.x1 + 1
        assert box.y0 > inside.y0 - 1
        assert box.y1 < inside.y1 + 1


def test_added_models_have_a_label_and_a_series_per_outcome(fits_of, tmp_path):
    mine = long(seed=1)
    mine = mine[mine["arch"] == "net5"].assign(model_id="mine_" + mine["model_id"])
    path = tmp_path / "mine.csv"
    mine.to_csv(path, index=False)
    data = make("regions", fits_of(long(), add=[f"our networks={path}"]))
    added = data.table().query(f"layer == '{ADDED}'")
    assert set(added["series"]) == {"our networks: V4", "our networks: IT"}
    data = make("compute", fits_of(long(), add=[f"our networks={path}"]))
    added = data.table().query(f"layer == '{ADDED}'")
    assert set(added["series"]) == {"our networks"}
    assert "Stars: our networks." in data.caption
    assert "other benchmarks" not in data.caption


def test_added_models_are_not_counted_and_other_benchmarks_are_named(fits_of, tmp_path):
    """They were once counted as the table's own, and scores of a simulated stream lay beside the brain's in silence."""
    mine = long(seed=1).assign(benchmark_id=lambda table: "simulated." + table["region"], is_ssl=False)
    mine.to_csv(tmp_path / "mine.csv", index=False)
    data = make("compute", fits_of(long().assign(benchmark_id=lambda table: "public." + table["region"]),
                                   add=[f"ours={tmp_path / 'mine.csv'}"]))  # fmt: skip
    n_own = int(long().query("~is_ssl")["model_id"].nunique())
    assert data.panels[0].n == n_own
    assert f"{n_own} models of" in data.caption
    assert "'ours' was scored on other benchmarks (simulated.IT, simulated.V4)" in data.caption


def test_a_report_says_which_objectives_its_law_leaves_out(fits_of):
    laws, _ = laws_of(fits_of(long()))
    assert laws[0].left_out == {"simclr": 18}
    assert "Left out of this law: 18 simclr." in " ".join(sentences(laws))


def test_plot_of_a_fit(tmp_path):
    table = wide()
    fit = fit_law(table, x="width", y="val_error")
    made = fit.plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert made.caption.startswith("val_error against width, 24 rows.")
    assert "Verdict:" in made.caption
    drawn = bootstrap(fit, 20).plot(tmp_path / "fit.json")
    document = json.loads((tmp_path / "fit.json").read_text())
    assert {row["mark"] for row in document["rows"]} == {"point", "curve"}
    assert drawn.data.panels[0].rows["low"].notna().any()
    with pytest.raises(errors.UsageError, match=r"got 'fit\.gif'"):
        fit.plot("fit.gif")


def test_plot_of_two_inputs_and_of_groups():
    rng = np.random.default_rng(0)
    n, d = (10 ** rng.uniform(4, 7, 60) for _ in range(2))
    group = np.where(np.arange(60) % 2, "a", "b")
    y = 0.3 + 20 * n**-0.4 + np.where(group == "a", 1.0, 2.0) * d**-0.2
    table = pd.DataFrame({"n": n, "d": d, "group": group, "loss": y})
    both = plot_fit(fit_law(table, law="joint", x=["n", "d"], y="loss")).data
    assert [panel.x.label for panel in both.panels] == ["n", "d"]
    assert len(draw(both).axes) == 4
    grouped = fit_law(table, x="d", y="loss", offsets=["A"], offset_by="group")
    lines = plot_fit(grouped).data.table().query("mark == 'line'")
    assert set(lines["series"]) == {"a", "b"}
    several = {name: fit_law(part, x="d", y="loss") for name, part in table.groupby("group")}
    assert {series.name for series in plot_fits(several).data.panels[0].series} == {"a", "b"}


def test_fit_plot_on_the_command_line(tmp_path, capsys):
    wide().to_csv(tmp_path / "mine.csv", index=False)
    tokens = ["fit", tmp_path / "mine.csv", "--x", "width", "--y", "val_error", "--plot", tmp_path / "out.svg"]
    assert main([str(token) for token in tokens]) == 0
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")
    assert "Verdict" in capsys.readouterr().err
    assert main([*(str(token) for token in tokens[:-1]), str(tmp_path / "out.gif")]) == 2


def test_all_figures_of_ones_own_table_are_no_failure(tmp_path, capsys):
    wide().rename(columns={"val_error": "error"}).to_csv(tmp_path / "mine.csv", index=False)
    tokens = ["figure", "--all", "--scores", tmp_path / "mine.csv", "--out", tmp_path / "o", "--format", "csv",
              "--resamples", "0", "--workers", "1"]  # fmt: skip
    assert main([str(token) for token in tokens]) == 0
    names = {path.stem for path in (tmp_path / "o").iterdir()}
    assert {"scatter", "residuals", "plateau"} <= names
    assert not any(name.startswith(("icml", "ccn")) for name in names)


def test_many_categories_and_turned_labels_stay_on_the_sheet():
    names = tuple(f"a rather long name {n}" for n in range(9))
    rows = pd.DataFrame({"mark": "bar", "series": "s", "layer": "table", "category": names, "y": 1.0, "low": 0.8,
                         "high": 1.1, "x": np.nan})  # fmt: skip
    panel = Panel("a", "Names", Axis("", "names", "category", names), Axis("Value (1)", "value"), rows,
                  (Series("s", "#0072B2", "o", "one series with a label"),), 9)  # fmt: skip
    canvas = draw(FigureData("names", "Names", (panel,)))
    (legend,) = [child for child in canvas.axes[0].get_children() if isinstance(child, Legend)]
    ticks = min(label.get_window_extent().y0 for label in canvas.axes[0].get_xticklabels())
    assert legend.get_window_extent().y1 <= ticks + 1
