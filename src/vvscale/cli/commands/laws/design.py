"""``vvscale design``."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words
from vvscale.laws.planning.options import DesignOptions


@verb
def design(
    fit: str = "compute_chinchilla", /, *, options: DesignOptions, out: Path | None = None, output: Output
) -> None:
    """Choose what to train next: the runs that tell most about a law, within a budget.

    Parameters
    ----------
    fit
        A published experiment, or a table of scores to fit a law to.
    out
        New TOML file for a study that trains the runs.

    Examples
    --------
    vvscale design compute_chinchilla --budget 3e15 --runs 10 --reduce exponent --out next.toml
    """
    from vvscale.cli.output import brief
    from vvscale.core.inputs.plain import refuse_existing, refuse_own_input
    from vvscale.laws.workflow.design_fit import run_design

    if out is not None:
        refuse_own_input(out, fit)
        refuse_existing(out)
    fitted, chosen = run_design(fit, options)
    output.table(chosen.table().map(brief), title=f"{fitted.law.name}: {fitted.formula}")
    output.say(chosen.sentence)
    low, high = chosen.interval
    output.say(
        f"{chosen.reduce}: {chosen.value:.4g}, now {low:.4g} to {high:.4g}, then about {chosen.expected[0]:.4g} to "
        f"{chosen.expected[1]:.4g} (95 %, by {chosen.by})."
    )
    output.document(chosen.to_dict())
    if out is not None:
        from vvscale.core.files import write_bytes
        from vvscale.study.design_study import study_of_design

        text = study_of_design(
            chosen, name=out.stem, dataset=options.dataset, classes=options.classes, recipe=options.recipe,
            epochs=options.epochs,
        )  # fmt: skip
        write_bytes(out, text.encode())
        output.note(f"Wrote {out}. Next: `vvscale study plan {shell_words(out)}`")
