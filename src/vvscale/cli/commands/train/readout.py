"""``vvscale readout``: train a readout of a layer's tokens and score it."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.train.readouts.options import ReadoutOptions


@verb
def readout(
    model: str,
    /,
    *,
    on: str,
    layer: str,
    test_share: float = 0.2,
    image_size: int | None = None,
    out: Path = Path("out/readout"),
    device: str = "cpu",
    options: ReadoutOptions,
    output: Output,
) -> None:
    """Train a readout of a layer's tokens for all subjects of a benchmark, and score it; rerun to resume.

    Parameters
    ----------
    model
        As `vvscale score` takes it.
    on
        One benchmark, such as a region of a prepared file: tvsd.h5:V4.
    layer
        Name of the layer; its places, or tokens, are what the readout looks at.
    test_share
        Share of the images that tests, drawn once, where the benchmark has no fixed test images.
    image_size
        Input size in pixels; the model's own by default.
    out
        Folder of the state and of the score store.
    device
        cpu or cuda.
    """
    from vvscale.train.readouts.run import read_out_model

    done = read_out_model(
        model, on=on, layer=layer, test_share=test_share, image_size=image_size, out=out, device=device, options=options
    )
    found = done.found
    output.say(f"{options.kind} of {done.layer} on {done.benchmark_id}: {found.score}")
    output.say(f"{found.n_params:,} parameters; a linear readout of all features has {found.n_params_linear:,}.")
    output.say(f"Stored 1 row in {done.scores_path}")
    others = "attention-individual" if options.kind == "attention-shared" else "attention-shared"
    output.say(f"Next: the same with `--kind {others} --out {out}-{others}`")
    output.document({"command": "readout", **done.to_dict()})
