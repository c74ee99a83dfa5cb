"""``vvscale check``: does a benchmark keep the contract?"""

from __future__ import annotations

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words


@verb
def check(*benchmarks: str, output: Output) -> None:
    """Check benchmarks against everything that scores rely on, and name what fails with its fix.

    Every image is read, and the recordings must predict themselves. The exit code is 3 where a requirement is not
    met.

    Parameters
    ----------
    benchmarks
        Names as in 'vvscale ls benchmarks', regions, 'simulated', 'simulated-digits', or own ones as file.py or
        file.py:NAME.
    """
    from vvscale.brain import benchmark_ids, check_benchmark, load_benchmark
    from vvscale.cli.progress import progress
    from vvscale.errors import DataError, UsageError

    if not benchmarks:
        raise UsageError("Nothing to check. Name a benchmark or a file: 'vvscale check simulated' shows how it goes.")
    names = benchmark_ids(benchmarks)
    reports = []
    with progress("check", len(names), quiet=output.quiet or output.json) as advance:
        for name in names:
            reports.append(check_benchmark(load_benchmark(name)))
            advance(name)
    for report in reports:
        table = report.table().drop(columns="fix")
        output.table(table.assign(is_met=table["is_met"].map({True: "yes", False: "NO"})), title=report.benchmark_id)
        for one in report.failed:
            output.say(f"Fix '{one.name}': {one.fix}")
    output.document({"command": "check", "benchmarks": [report.to_dict() for report in reports]})
    failed = [f"{report.benchmark_id}: {one.name} ({one.found})" for report in reports for one in report.failed]
    if failed:
        raise DataError(
            f"{len(failed)} of {sum(len(report.requirements) for report in reports)} requirements are not met: "
            f"{'; '.join(failed)}. Each fix is named above and in --json; then run the same command again."
        )
    output.say(f"Next: vvscale score MODEL --on {shell_words(names[0])}")
