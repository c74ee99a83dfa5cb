"""Text in drawn files: formulas are drawn as such, users' dollars as they are, and shared work changes no file."""

import io
import re
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import textpath
from matplotlib.backends import backend_agg

from vvscale.figures.drawing import style
from vvscale.figures.drawing.draw import draw
from vvscale.figures.drawing.files import render
from vvscale.figures.drawing.fonts import LEFT_OUT, light_fonts, shared_formulas
from vvscale.figures.drawing.legend import handles_of
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series

PATCHED = ((subset, "load_font"), (textpath, "MathTextParser"), (backend_agg, "MathTextParser"))


def figure(
    title="Cost ($) and $/h",
    y="Score added, $10^{17}$ to $10^{18}$ FLOP",
    text=("$R^2$ = 0.974", r"N* $\propto$ C$^{0.245}$"),
):
    x = np.geomspace(1e14, 1e18, 9)
    rows = pd.DataFrame({"mark": "point", "series": "a", "layer": "table", "x": x, "y": np.log10(x)})
    panel = Panel("a", title, Axis("C", "x", "log"), Axis(y, "y"), rows, (Series("a", style.BLUE, label="a"),), 9,
                  text=text)  # fmt: skip
    return FigureData("f", "f", (panel,))


def words(svg: bytes) -> str:
    """All text that a reader sees."""
    text = re.sub(r"<!--.*?-->", "", svg.decode(), flags=re.DOTALL)
    return "".join(re.findall(r"<(?:tspan|text)[^>]*>([^<]*)", text))


def test_formulas_of_figures_are_drawn_and_dollars_of_users_stay():
    shown = words(render(draw(figure()), "svg"))
    assert "Cost ($) and $/h" in shown
    assert shown.count("$") == 2
    assert "^" not in shown
    assert "\\" not in shown


def test_a_legend_shows_what_is_drawn():
    """Bars are patches of colour; shaded points have none, so that a law over them is a line alone."""
    made = figure().panels[0]
    law = pd.concat([made.rows, made.rows.assign(mark="curve")], ignore_index=True)
    shaded = replace(made, rows=law.assign(shade=law["x"]), shade=Axis("D", "d", "log"))
    bars = replace(made, rows=made.rows.assign(mark="bar"), series=(Series("a", style.BLUE, "^", "a"),))
    for panel, marker in ((replace(made, rows=law), "o"), (shaded, ""), (bars, "s")):
        assert [handle.get_marker() for handle in handles_of(panel, 3.0)] == [marker]


def test_shared_work_changes_nothing_that_is_drawn():
    with style.applied():
        canvas = draw(figure())
        for kind in ("svg", "png"):
            plain = io.BytesIO()
            when = {"svg": {"Date": None}, "png": {"Software": None}}[kind]
            canvas.savefig(plain, format=kind, dpi=style.PNG_DPI, metadata=when)
            assert render(canvas, kind) == plain.getvalue()


def test_other_users_of_matplotlib_get_their_own_back():
    before = [getattr(module, name) for module, name in PATCHED]
    with shared_formulas(), light_fonts():
        assert [getattr(module, name) for module, name in PATCHED] != before
    assert [getattr(module, name) for module, name in PATCHED] == before


def test_a_pdf_has_editable_text_without_layout_tables():
    pdf = render(draw(figure()), "pdf")
    assert b"/CIDFontType2" in pdf
    fonts = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, flags=re.DOTALL):
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        if content[:4] == b"\0\1\0\0":
            fonts.append(TTFont(io.BytesIO(content)))
    assert len(fonts) >= 2
    for font in fonts:
        assert {"glyf", "cmap", "name", "hmtx"} <= set(font.keys())
        assert not set(LEFT_OUT) & set(font.keys())
