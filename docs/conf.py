"""Sphinx configuration: pages in Markdown, tutorials that run, a reference written from the code. Builds offline."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "site"))

import generate  # noqa: E402

from vvscale import __version__  # noqa: E402

# Tutorials keep what they download and fit away from the reader's own cache.
os.environ.setdefault("VVSCALE_CACHE", str(HERE / "_build" / "cache"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore", message=".*joblib.*")

project, author, copyright = "vvscale", "The vvscale authors", "the vvscale authors"  # noqa: A001
version = release = __version__
extensions = [
    "myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_gallery.gen_gallery",
]  # fmt: skip
exclude_patterns = ["_build", "site", "tutorials/*.py", "**/*.ipynb", "**/GALLERY_HEADER.rst", "sg_execution_times.rst"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
numpydoc_show_class_members = False
# Types stand in the signature already; "Source:" is a word of ours.
autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "pydata_sphinx_theme"
html_title = "vvscale"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # a page opened from a file may not fetch others
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "learn",
    "filename_pattern": r"[/\\]\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": (),
    "default_thumb_file": str(HERE / "demo.png"),
    "reset_modules": (),
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1e9,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
}


def setup(app) -> None:  # noqa: D103
    app.connect("builder-inited", lambda app: generate.everything(HERE))
