"""The report in a real browser: opened from a file, without network."""

import json
import os
import re
import shutil
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pandas as pd
import pytest

from vvscale.figures.base.fits import Fits
from vvscale.figures.base.open_tables import open_source
from vvscale.figures.report.report import write_report

NAMES = ("icml-1b", "icml-4a", "icml-S1")


def chromium_path():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def chromium():
    """A headless browser; absent only on a machine where that is allowed."""
    path = chromium_path()
    if path is None:
        reason = "no Chromium here: `apt-get install chromium` brings it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def fits(mirror, tmp_path_factory):
    return Fits(open_source(), n_resamples=40, folder=tmp_path_factory.mktemp("fits"))


@pytest.fixture(scope="module")
def report(chromium, fits, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, fits, names=NAMES, n_workers=1)
    return path


@pytest.fixture
def open_page(chromium, report):
    """Open the report; at the end nothing may have been complained about or asked of the network."""
    contexts, complaints, requests = [], [], []

    def opened(hash_="", **options):
        options = {"viewport": {"width": 1200, "height": 900}, **options}
        context = chromium.new_context(offline=True, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{report.as_uri()}{hash_}")
        page.wait_for_selector("body[data-drawn]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
    assert {urlsplit(url).scheme for url in requests} <= {"file", "blob", "data"}


def marks(page):
    return page.locator("#plot path[aria-roledescription='point']")


def wait_redrawn(page, act):
    before = page.evaluate("document.body.dataset.drawn")
    act()
    page.wait_for_function("before => document.body.dataset.drawn !== before", arg=before)


def count(page):
    return int(page.locator("#count").inner_text().split()[0])


def test_it_shows_the_models_of_the_table(open_page, gokce2025):
    page = open_page()
    known = gokce2025.dropna(subset=["train_flop"])
    # Nine adversarial models whose beginning is not known have no known compute.
    known = known[~(known["is_adv"] & (known["n_epochs"] == 100))]
    n = known.groupby("model_id")["score"].apply(lambda scores: scores.notna().all()).sum()
    assert count(page) == n == marks(page).count()
    assert "E = 0" in page.locator("#laws").inner_text(), "behaviour has no plateau in these rows"


def test_filters_and_search(open_page, gokce2025):
    page = open_page()
    page.locator("#summary-parent_family").click()
    wait_redrawn(page, lambda: page.locator("input[name=parent_family][value=ViT]").check())
    chosen = gokce2025[(gokce2025["parent_family"] == "ViT") & gokce2025["train_flop"].notna()]
    assert count(page) == chosen["model_id"].nunique() == marks(page).count()
    wait_redrawn(page, lambda: page.locator("#search").fill("deit_tiny_imagenet"))
    few = chosen[chosen["model_id"].str.contains("deit_tiny_imagenet")]
    assert count(page) == few["model_id"].nunique()
    assert page.locator("#list").count() == 1
    page.locator("#list summary").click()
    assert page.locator("#rows tr").count() == few["model_id"].nunique() + 1
    wait_redrawn(page, lambda: page.locator("#reset").click())
    assert count(page) == 727


def test_hover_names_the_model_and_its_recipe(open_page):
    page = open_page("#search=resnet18_imagenet_100_seed-0&parent_family=ResNet")
    target = marks(page).first
    target.scroll_into_view_if_needed()
    target.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    text = page.locator("#vg-tooltip-element").inner_text()
    assert "resnet18_imagenet_100_seed-0" in text
    assert "100 images per class" in text


def test_the_link_brings_the_same_view_back(open_page):
    page = open_page()
    wait_redrawn(page, lambda: page.locator("#y").select_option("IT"))
    wait_redrawn(page, lambda: page.locator("#colour").select_option("dataset"))
    wait_redrawn(page, lambda: page.locator("#facet").select_option("objective"))
    wait_redrawn(page, lambda: page.locator("#regression").check())
    page.locator("#summary-dataset").click()
    wait_redrawn(page, lambda: page.locator("input[name=dataset][value=imagenet]").check())
    wait_redrawn(page, lambda: page.locator("input[name=dataset][value=ecoset]").check())
    hash_ = page.evaluate("location.hash")
    assert parse_qs(hash_[1:]) == {
        "y": ["IT"], "colour": ["dataset"], "facet": ["objective"], "regression": ["1"],
        "dataset": ["imagenet", "ecoset"],
    }  # fmt: skip
    again = open_page(hash_)
    assert again.locator("#y").input_value() == "IT"
    assert again.locator("#facet").input_value() == "objective"
    assert again.locator("#regression").is_checked()
    assert count(again) == count(page)
    assert again.locator("#summary-dataset").inner_text() == "data set: imagenet, ecoset"


def test_regression_toggles_a_line_per_colour(open_page):
    page = open_page("#parent_family=ResNet&parent_family=ViT")
    lines = page.locator("#plot path[aria-roledescription='line mark']")
    assert lines.count() == 0
    wait_redrawn(page, lambda: page.locator("#regression").check())
    assert lines.count() == 2


def test_calculator_agrees_with_the_planner(open_page, fits):
    from vvscale.figures.report.laws import joint_of
    from vvscale.laws.planning.plan import plan

    law = fits.curve(joint_of(fits))
    page = open_page()

    def number(text):
        value, _, unit = text.partition(" ")
        return float(value) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit.strip()]

    for typed, budget in (("1e18", 1e18), ("3,000,000,000,000,000,000", 3e18), ("2x10^22", 2e22)):
        page.locator("#budget").fill(typed)
        expected = plan(law.joint, budget, law.cost)
        assert number(page.locator("#plan-n b").inner_text()) == pytest.approx(expected.n_params, rel=6e-3)
        assert number(page.locator("#plan-d b").inner_text()) == pytest.approx(expected.samples_seen, rel=6e-3)
        assert float(page.locator("#plan-score b").inner_text()) == pytest.approx(expected.score, abs=5.1e-4)
        ends = page.locator("#plan-score .small").inner_text().split(" to ")
        np.testing.assert_allclose([float(end) for end in ends], expected.score_interval, atol=6e-4)
        ends = page.locator("#plan-n .small").inner_text().split(" to ")
        np.testing.assert_allclose([number(end) for end in ends], expected.n_interval, rtol=6e-3)
    problem = page.locator("#plan-problem").inner_text()
    assert "an extrapolation" in problem
    assert "Nothing is advised more than 10 times beyond the rows." in problem
    page.locator("#budget").fill("1e18")
    page.locator("#most").fill("1e6")
    held = plan(law.joint, 1e18, law.cost, n_bounds=(None, 1e6))
    assert number(page.locator("#plan-n b").inner_text()) == pytest.approx(1e6)
    assert float(page.locator("#plan-score b").inner_text()) == pytest.approx(held.score, abs=5.1e-4)
    page.locator("#budget").fill("a lot")
    assert "positive number of FLOP" in page.locator("#plan-problem").inner_text()


def test_csv_and_bibtex_of_the_selection(open_page, gokce2025):
    page = open_page("#objective=simclr")
    with page.expect_download() as download:
        page.locator("#csv").click()
    table = pd.read_csv(download.value.path())
    shown = gokce2025[(gokce2025["ssl_method"] == "simclr") & gokce2025["train_flop"].notna()]
    assert sorted(table["model_id"]) == sorted(shown["model_id"].unique())
    exact = shown[shown["region"] == "IT"].set_index("model_id")["score"]
    np.testing.assert_array_equal(table.set_index("model_id")["IT"], exact[table["model_id"]])
    with page.expect_download() as download:
        page.locator("#bibtex").click()
    text = download.value.path().read_text()
    assert "@inproceedings{chen2020simclr," in text
    assert "{he2016," in text
    assert "mehrer2021" not in text


def test_dragging_selects(open_page):
    page = open_page()
    before = count(page)
    box = page.locator("#plot svg").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.15 * box["height"])
    page.locator("#plot").scroll_into_view_if_needed()
    box = page.locator("#plot svg").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=8)
    page.mouse.up()
    page.wait_for_function("document.getElementById('count').textContent.endsWith('selected')")
    assert 0 < count(page) < before


def test_keyboard_alone_reaches_and_changes_everything(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 12)")
        )
        if reached[-1] == "reset":
            break
    for name in (
        "theme",
        "Trust",
        "budget",
        "x",
        "y",
        "colour",
        "facet",
        "search",
        "regression",
        "csv",
        "bibtex",
        "reset",
    ):
        assert name in reached
    page.locator("#regression").focus()
    wait_redrawn(page, lambda: page.keyboard.press("Space"))
    assert page.locator("#regression").is_checked()


@pytest.mark.parametrize("width", [375, 1200])
def test_no_horizontal_scrolling(open_page, width):
    page = open_page("#facet=parent_family", viewport={"width": width, "height": 800})
    for section in ("figures", "provenance"):
        page.locator(f"#{section}").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_are_drawn_and_follow_the_theme(open_page):
    page = open_page(color_scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    for name in NAMES:
        page.locator(f"figure#{name}").scroll_into_view_if_needed()
        page.wait_for_selector(f"figure#{name} svg text")
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    assert min(int(part) for part in page.evaluate(ink).strip("rgb()").split(",")) > 200
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in background.strip("rgb()").split(",")) < 60
    wait_redrawn(page, lambda: page.locator("#theme").click())
    assert max(int(part) for part in page.evaluate(ink).strip("rgb()").split(",")) < 60
    # Numbers in a figure's texts are whole: only places are rounded.
    assert re.search(r"plateau not identified: 0\.\d\d to \d\.\d\d", page.locator("figure#icml-1b").text_content())


def test_a_table_of_ones_own_shows_only_what_it_can(chromium, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"model_id": f"mine <b>{i}</b>", "region": region, "benchmark_id": f"mine-{region}",
         "score": rng.uniform(0.1, 0.5), "n_params": 10.0 ** (6 + i / 8)}
        for i in range(10)
        for region in ("V4", "IT")
    ]  # fmt: skip
    path = tmp_path / "mine.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    fits = Fits(open_source(path), n_resamples=5, folder=tmp_path)
    made = write_report(tmp_path / "own.html", fits, names=["icml-1b", "icml-7c"], n_workers=1)
    assert not made.figures
    page = chromium.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(made.path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    assert count(page) == marks(page).count() == 10
    assert page.locator("#y option").all_text_contents() == ["Mean of all regions", "V4 alignment", "IT alignment"]
    assert "2 figures that this table does not allow" in page.locator("#figures").inner_text()
    assert "No plan from this table" in page.locator("#plan").inner_text()
    page.close()
    assert not problems


def test_names_of_javascript_and_of_spreadsheets_are_names(chromium, tmp_path):
    names = ["constructor", "toString", "__proto__", "=1+1", "+1", "-a", "@sum", "\tx", "\rx", 'a"b']
    table = pd.DataFrame(
        {"model_id": names, "family": names, "region": "V4", "benchmark_id": "mine", "score": np.linspace(0.1, 0.5, 10),
         "n_params": np.geomspace(1e6, 1e8, 10)}
    )  # fmt: skip
    table.to_parquet(tmp_path / "mine.parquet")
    fits = Fits(open_source(tmp_path / "mine.parquet"), n_resamples=5, folder=tmp_path)
    made = write_report(tmp_path / "own.html", fits, names=["icml-7c"], n_workers=1)
    page = chromium.new_context(accept_downloads=True).new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    for given in ("", "#x=constructor&toString=1", "#colour=__proto__&family=constructor"):
        page.goto(made.path.as_uri() + given)
        page.reload()
        page.wait_for_selector("body[data-drawn]")
    page.goto(made.path.as_uri() + "#explore")
    page.reload()
    page.wait_for_selector("body[data-drawn]")
    with page.expect_download() as download:
        page.locator("#csv").click()
    content = download.value.path().read_bytes().decode()
    page.context.close()
    assert not problems
    for name in names[3:9]:
        assert f"'{name}" in content
    assert sum(name in content for name in names[:3]) == 3


def test_columns_of_any_name_are_shown_and_citing_odd_values_does_no_harm(chromium, tmp_path):
    """Vega looks for "loss.val" inside of "loss"; "series" and "panel" are names of the page's own."""
    columns = ["loss.val", "acc[top1]", "series", "panel", "it's", 'a"b', "=1+1"]
    table = pd.DataFrame({name: np.linspace(0.1, 0.9, 8) * (k + 1) for k, name in enumerate(columns)})
    table.insert(0, "model_id", [f"<img src=x onerror=alert({k})>" for k in range(8)])
    table["dataset"] = ["constructor", "toString", "<script>alert(1)</script>", "cost $ and $\\frac{$"] * 2
    table.to_parquet(tmp_path / "mine.parquet")
    fits = Fits(open_source(tmp_path / "mine.parquet"), n_resamples=5, folder=tmp_path)
    made = write_report(tmp_path / "own.html", fits, title="<b>mine</b>", n_workers=1)
    page = chromium.new_context(accept_downloads=True).new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
    for x in columns[:4]:
        page.goto(f"{made.path.as_uri()}#{urlencode({'x': x, 'y': 'series', 'colour': 'dataset'})}")
        page.reload()
        page.wait_for_selector("body[data-drawn]")
        assert page.locator("#x").input_value() == x
        assert count(page) == marks(page).count() == 8, x
        # All on one diagonal: the values are those of the columns.
        assert page.evaluate("document.querySelectorAll('#plot path[aria-roledescription=point]').length") == 8
    places = [re.findall(r"[-.\d]+", mark.get_attribute("transform")) for mark in marks(page).all()]
    assert len({place[0] for place in places}) == 8
    with page.expect_download() as download:
        page.locator("#bibtex").click()
    with page.expect_download() as download:
        page.locator("#csv").click()
    head = download.value.path().read_bytes().decode().splitlines()[0]
    page.context.close()
    assert not problems
    assert "'=1+1" in head


def test_the_packed_models_are_the_table(report, gokce2025):
    text = report.read_text()
    start = text.index('<script type="application/json" id="data">') + len('<script type="application/json" id="data">')
    data = json.loads(text[start : text.index("</script>", start)])
    columns = data["models"]["columns"]
    ids = [columns["model_id"]["names"][code] for code in columns["model_id"]["codes"]]
    assert ids == gokce2025["model_id"].drop_duplicates().tolist()
    v1 = gokce2025[gokce2025["region"] == "V1"].set_index("model_id")["score"]
    np.testing.assert_array_equal(np.array(columns["V1"], dtype=float), v1[ids])


def own_study(seed=3):
    """24 runs of one family with two objectives on two regions, as a lab's own study leaves them."""
    rng = np.random.default_rng(seed)
    rows = []
    for objective in ("supervised", "simclr"):
        for i, n_params in enumerate(np.geomspace(1e5, 3e7, 12)):
            samples = int(10 ** rng.uniform(4, 6.5))
            model = {
                "model_id": f"{objective}-{i}", "arch": f"net{i}", "family": "Net", "dataset": "mine",
                "n_params": n_params, "samples_seen": samples, "train_flop": 6 * n_params * samples,
                "is_ssl": objective == "simclr", "ssl_method": objective if objective == "simclr" else None,
                "is_pretrained": False, "is_random": False, "is_adv": False, "is_ablation": False,
            }  # fmt: skip
            for region, top in (("V4", 0.6), ("IT", 0.65)):
                loss = 1 - top + 6 * n_params**-0.3 + 4 * samples**-0.3 + rng.normal(0, 0.004)
                rows.append({**model, "region": region, "benchmark_id": f"mine.{region}", "score": 1 - loss})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def own(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    fits = Fits(open_source(own_study()), n_resamples=20, folder=folder)
    made = write_report(folder / "own.html", fits, n_workers=1)
    return fits, made


def test_a_study_of_ones_own_answers_in_order(chromium, own):
    _, made = own
    page = chromium.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(made.path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    assert page.locator("main section h2").all_text_contents() == [
        "What was found", "Is the law trustworthy?", "What to run next", "Explore the models", "All other figures",
        "Provenance",
    ]  # fmt: skip
    names = page.locator("figure h3").all_text_contents()
    assert names[0] == "compute", "the headline figure stands first"
    assert len(names) == len(set(names)) == len(made.figures)
    assert page.locator("#laws figure").count() >= 2
    found = page.locator("#found").inner_text()
    assert "rises with training compute" in found
    text = page.locator("body").inner_text()
    for word in ("ICML", "CCN", "gokce", "four families", "Gokce"):
        assert word not in text
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert made.n_bytes < 3_000_000
    page.close()
    assert not problems


def test_the_calculator_of_ones_own_study_starts_at_its_largest_run(chromium, own):
    from vvscale.figures.report.laws import joint_of
    from vvscale.laws.planning.plan import plan

    fits, made = own
    law = fits.curve(joint_of(fits))
    largest = own_study()["train_flop"].max()
    page = chromium.new_page()
    page.goto(made.path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    assert float(page.locator("#budget").input_value()) == pytest.approx(largest, rel=5e-3)
    assert page.locator("#plan-problem").inner_text() in {
        "",
        "1 times the largest budget in the table: an extrapolation.",
    }

    def number(text):
        value, _, unit = text.partition(" ")
        return float(value) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit.strip()]

    for label in ("largest run", "3 times it", "10 times it"):
        page.get_by_role("button", name=label).click()
        budget = float(page.locator("#budget").input_value())
        expected = plan(law.joint, budget, law.cost)
        assert number(page.locator("#plan-n b").inner_text()) == pytest.approx(expected.n_params, rel=6e-3)
        assert number(page.locator("#plan-d b").inner_text()) == pytest.approx(expected.samples_seen, rel=6e-3)
        assert float(page.locator("#plan-score b").inner_text()) == pytest.approx(expected.score, abs=5.1e-4)
        assert "0.000 to 0.000" not in page.locator("#plan-new").inner_text()
    page.close()
