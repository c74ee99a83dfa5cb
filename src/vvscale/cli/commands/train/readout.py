"""``vvscale readout``: train a readout of a layer's tokens and score it."""

from __future__ import annotations

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.train.readouts.options import ReadoutRunOptions


@verb
def readout(model: str, /, *, options: ReadoutRunOptions, output: Output) -> None:
    """Train a readout of a layer's tokens for all subjects of a benchmark, and score it; rerun to resume.

    Parameters
    ----------
    model
        As `vvscale score` takes it.
    """
    from vvscale.train.readouts.run import read_out_model

    done = read_out_model(model, options)
    found = done.found
    output.say(f"{options.kind} of {done.layer} on {done.benchmark_id}: {found.score}")
    output.say(f"{found.n_params:,} parameters; a linear readout of all features has {found.n_params_linear:,}.")
    output.say(f"Stored 1 row in {done.scores_path}")
    others = "attention-individual" if options.kind == "attention-shared" else "attention-shared"
    output.say(f"Next: the same with `--kind {others} --out {options.out}-{others}`")
    output.document({"command": "readout", **done.to_dict()})
