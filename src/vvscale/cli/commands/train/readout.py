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
    from vvscale.brain.benchmarks.neural import NeuralBenchmark
    from vvscale.brain.catalogue import load_benchmark
    from vvscale.brain.inputs.preprocess import Preprocessing
    from vvscale.brain.mapping.fixed import with_fixed_test
    from vvscale.brain.scoring.layers import resolve_name
    from vvscale.brain.scoring.run import DEFAULT_IMAGE_SIZE
    from vvscale.errors import UsageError
    from vvscale.models import load_model
    from vvscale.scores import ScoreStore
    from vvscale.train.readouts.fit import record_tokens, train_readout

    benchmark = load_benchmark(on)
    if not isinstance(benchmark, NeuralBenchmark):
        raise UsageError(f"'{on}' is no recording of neuroids, so there is nothing to read out.")
    benchmark = with_fixed_test(benchmark, test_share)
    loaded = load_model(model)
    own = {"image_size": DEFAULT_IMAGE_SIZE, **loaded.record.get("preprocessing", {})}
    if image_size is not None:
        own |= {"image_size": image_size, "resize": None}
    name = resolve_name(loaded.module, layer)
    tokens = record_tokens(loaded.module, name, benchmark, Preprocessing.from_record("brainscore", own), device)
    found = train_readout(tokens, benchmark, out=out, layer=name, device=device, options=options)
    row = loaded.record.get("row", {})
    rows = {**found.row, "model_id": row.get("model_id") or model, "run_id": f"{options.kind}-{options.seed}"}
    import pandas as pd

    path = ScoreStore(out / "scores").append(pd.DataFrame([rows]))
    output.say(f"{options.kind} of {name} on {benchmark.benchmark_id}: {found.score}")
    output.say(f"{found.n_params:,} parameters; a linear readout of all features has {found.n_params_linear:,}.")
    output.say(f"Stored 1 row in {path}")
    others = "attention-individual" if options.kind == "attention-shared" else "attention-shared"
    output.say(f"Next: the same with `--kind {others} --out {out}-{others}`")
    output.document({"command": "readout", **found.to_dict(), "model_id": rows["model_id"]})
