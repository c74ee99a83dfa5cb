"""The table of scores: its schema, where it comes from, and how to ask it questions.

A row is one model on one benchmark. ``load_scores`` reads the published sets, files, stores and DataFrames
alike; ``model_table`` averages over regions; ``select`` queries; ``ScoreStore`` keeps one's own rows.

Importing this package loads no submodule; the public names below are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.scores.gokce2025 import AppliedNote as AppliedNote
    from vvscale.scores.load import SETS as SETS
    from vvscale.scores.load import ScoreSet as ScoreSet
    from vvscale.scores.load import load_scores as load_scores
    from vvscale.scores.load import published_notes as published_notes
    from vvscale.scores.published_models import Commitment as Commitment
    from vvscale.scores.published_models import commitment as commitment
    from vvscale.scores.published_models import load_checkpoints as load_checkpoints
    from vvscale.scores.published_models import load_commitments as load_commitments
    from vvscale.scores.read import load_table as load_table
    from vvscale.scores.schema import COLUMNS as COLUMNS
    from vvscale.scores.schema import NEURAL as NEURAL
    from vvscale.scores.schema import REGIONS as REGIONS
    from vvscale.scores.schema import Column as Column
    from vvscale.scores.schema import schema_markdown as schema_markdown
    from vvscale.scores.store import ScoreStore as ScoreStore
    from vvscale.scores.table import ModelTable as ModelTable
    from vvscale.scores.table import drop_missing as drop_missing
    from vvscale.scores.table import is_mapping_table as is_mapping_table
    from vvscale.scores.table import mapping_table as mapping_table
    from vvscale.scores.table import model_table as model_table
    from vvscale.scores.table import regions_held as regions_held
    from vvscale.scores.table import resolve_regions as resolve_regions
    from vvscale.scores.where import Not as Not
    from vvscale.scores.where import parse_where as parse_where
    from vvscale.scores.where import select as select

__getattr__, __dir__ = lazy(__name__)
