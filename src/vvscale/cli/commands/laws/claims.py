"""``vvscale claims``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.laws.claims.options import ClaimsOptions


@verb
def claims(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", show_default=False)] = (),
    /,
    *,
    options: ClaimsOptions,
    output: Output,
) -> None:
    """Check claims about scaling on a table: the paper's number, ours, an interval and a ruling for each.

    A claim holds if ours is the same number to the digits that are given, holds within its interval, is not
    established by these rows, or is contradicted by them.

    Parameters
    ----------
    sources
        ccn2024, icml2025, or TOML files of your own claims; both papers by default.

    Examples
    --------
    vvscale claims ccn2024

    vvscale claims mine.toml --scores mine.csv
    """
    from vvscale.laws.claims.check import check_claims
    from vvscale.laws.claims.claim import PUBLISHED, read_claims
    from vvscale.laws.claims.tables import claims_table
    from vvscale.laws.rows import read_rows

    files = [read_claims(source) for source in sources or PUBLISHED]
    scores = read_rows(options.scores)
    reports = [check_claims(file, scores) for file in files]
    for report in reports:
        output.table(claims_table(report), title=report.title)
    output.document([report.to_dict() for report in reports])
