"""``vvscale fine-tune``: train a network on, for its task and for recordings at once."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.errors import shell_words
from vvscale.train.neural.options import FineTuneOptions


@verb
def fine_tune(
    model: str,
    /,
    *,
    on: tuple[str, ...],
    layers: str,
    data: str = "digits",
    test_on: tuple[str, ...] = (),
    metric: str = "ridge-cv",
    test_share: float = 0.2,
    out: Path = Path("out/fine-tuned"),
    device: str = "cpu",
    options: FineTuneOptions,
    output: Output,
) -> None:
    """Train a network on, for its task and for recordings at once; rerun to resume.

    Readouts of the committed layers are fitted once and frozen; afterwards fresh ones score the network on test images
    that were never trained on. `--control shuffled` and `--updates` tell apart what the recordings, and what more
    training, did.

    Parameters
    ----------
    model
        A run's folder or other weights of a network that was trained on the images of `--data`.
    on
        Recordings to tune to: benchmarks of one stimulus set.
    layers
        The layer that is read out, or a .toml or .json file of one layer per region.
    data
        Images of the task: digits, or a folder made by `vvscale prepare`.
    test_on
        Further benchmarks to score before and after.
    metric
        Of the scores before and after: ridge-cv, ridge or pls.
    test_share
        Share of the images that tests, drawn once, where a benchmark has no fixed test images.
    out
        Folder of the state, the result and the weights.
    device
        cpu or cuda.
    """
    from vvscale.train.neural.run import fine_tune_model

    done = fine_tune_model(
        model, on=on, layers=layers, data=data, test_on=test_on, metric=metric, test_share=test_share, out=out,
        device=device, options=options,
    )  # fmt: skip
    rows, found = done.found.rows, done.found
    shown = rows[["benchmark_id", "is_source", "score_before", "score", "gain"]]
    output.table(shown.map(brief), title=f"{done.model_id}: {found.n_updates} updates, {found.n_images} images")
    output.say(f"Accuracy {rows['accuracy_before'].iloc[0]:.4f} before, {rows['accuracy'].iloc[0]:.4f} after.")
    output.say(f"Stored {len(rows)} rows in {done.scores_path}; weights in {done.weights_path}")
    if options.control == "none":
        output.say(
            f"Next: the same with `{shell_words('--control', 'shuffled', '--out', f'{out}-shuffled')}`: without the "
            "pairing it must not gain. "
            f"Then `vvscale transfer {shell_words(out / 'scores', f'{out}-shuffled/scores')}`"
        )
    output.document({"command": "fine-tune", **done.to_dict()})
