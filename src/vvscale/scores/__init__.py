"""The table of scores: its schema, where it comes from, and how to ask it questions.

A row is one model on one benchmark. ``load_scores`` reads the published sets, files, stores and DataFrames
alike; ``model_table`` averages over regions; ``select`` queries; ``ScoreStore`` keeps one's own rows.
"""

from __future__ import annotations

from vvscale.scores.gokce2025 import AppliedNote
from vvscale.scores.load import SETS, ScoreSet, load_scores, published_notes
from vvscale.scores.published_models import Commitment, commitment, load_checkpoints, load_commitments
from vvscale.scores.read import load_table
from vvscale.scores.schema import COLUMNS, NEURAL, REGIONS, Column, schema_markdown
from vvscale.scores.select import Not, parse_where, select
from vvscale.scores.store import ScoreStore
from vvscale.scores.table import ModelTable, drop_missing, model_table, resolve_regions

__all__ = [
    "COLUMNS",
    "NEURAL",
    "REGIONS",
    "SETS",
    "AppliedNote",
    "Column",
    "Commitment",
    "ModelTable",
    "Not",
    "ScoreSet",
    "ScoreStore",
    "commitment",
    "drop_missing",
    "load_checkpoints",
    "load_commitments",
    "load_scores",
    "load_table",
    "model_table",
    "parse_where",
    "published_notes",
    "resolve_regions",
    "schema_markdown",
    "select",
]
