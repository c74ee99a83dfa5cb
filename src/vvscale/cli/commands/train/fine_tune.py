"""``vvscale fine-tune``: train a network on, for its task and for recordings at once."""

from __future__ import annotations

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.errors import shell_words
from vvscale.train.neural.options import FineTuneRunOptions


@verb
def fine_tune(model: str, /, *, options: FineTuneRunOptions, output: Output) -> None:
    """Train a network on, for its task and for recordings at once; rerun to resume.

    Readouts of the committed layers are fitted once and frozen; afterwards fresh ones score the network on test images
    that were never trained on. `--control shuffled` and `--updates` tell apart what the recordings, and what more
    training, did.

    Parameters
    ----------
    model
        A run's folder or other weights of a network that was trained on the images of `--data`.
    """
    from vvscale.train.neural.run import fine_tune_model

    done = fine_tune_model(model, options)
    rows, found = done.found.rows, done.found
    shown = rows[["benchmark_id", "is_source", "score_before", "score", "gain"]]
    output.table(shown.map(brief), title=f"{done.model_id}: {found.n_updates} updates, {found.n_images} images")
    output.say(f"Accuracy {rows['accuracy_before'].iloc[0]:.4f} before, {rows['accuracy'].iloc[0]:.4f} after.")
    output.say(f"Stored {len(rows)} rows in {done.scores_path}; weights in {done.weights_path}")
    if options.control == "none":
        shuffled = f"{options.out}-shuffled"
        output.say(
            f"Next: the same with `{shell_words('--control', 'shuffled', '--out', shuffled)}`: without the pairing it "
            f"must not gain. Then `vvscale transfer {shell_words(options.out / 'scores', f'{shuffled}/scores')}`"
        )
    output.document({"command": "fine-tune", **done.to_dict()})
