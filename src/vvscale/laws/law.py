"""The laws by name: which form, on which inputs, with which parameters.

A law joins a functional form (``forms``) to what a user needs to know of it: the formula, the
names of its parameters, how residuals are measured. ``LAWS`` is open to entry points of the group
``vvscale.law``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vvscale.core.registry import Registry
from vvscale.errors import ConfigError
from vvscale.laws.forms.others import Constant, Kaplan, Logistic, LogLaw, PurePower
from vvscale.laws.forms.plateau import Plateau, Vanishing
from vvscale.laws.forms.terms import Term

if TYPE_CHECKING:
    from vvscale.laws.forms.form import LawForm


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes
    ----------
    name, summary, formula
        What it is called, one line about it, and its formula in units of X.
    inputs
        Symbols of the inputs: ``("X",)`` or ``("N", "D")``.
    parameters
        Names of the parameters without group offsets.
    terms
        Coordinates of the decaying terms; empty for forms that are not plateaus.
    own_form
        The form, where it is not made of terms; see ``vvscale.laws.forms.form.LawForm``.
    log_residuals
        Whether residuals are logs (of the misalignment) or plain differences.
    signed_plateau
        Whether E may be negative.
    scales
        Whether the outcome depends on the inputs at all.
    """

    name: str
    summary: str
    formula: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    terms: tuple[Term, ...] = ()
    own_form: LawForm | None = None
    log_residuals: bool = True
    signed_plateau: bool = False
    scales: bool = True

    @property
    def has_limit(self) -> bool:
        """Whether the law has an asymptote E at infinite X that is a parameter."""
        return self.scales and "E" in self.parameters

    @property
    def is_power(self) -> bool:
        """Whether it is one power law of one input above a plateau."""
        return [term.coordinate for term in self.terms] == ["log"]

    @property
    def is_joint(self) -> bool:
        """Whether it is a power law of each of two inputs above a plateau, as a plan needs."""
        return [(term.coordinate, term.column) for term in self.terms] == [("log", 0), ("log", 1)]

    @property
    def n_parameters(self) -> int:
        """Number of free parameters without group offsets."""
        return len(self.parameters)

    def forms(
        self, n_groups: int = 1, offsets: tuple[str, ...] = (), *, negative: bool = False
    ) -> tuple[LawForm, Vanishing | None]:
        """Return the interior form and the E = 0 form, if there is one.

        Parameters
        ----------
        n_groups
            Number of groups with offsets.
        offsets
            Amplitudes that differ by group: ``"A"``, ``"B"`` or both.
        negative
            Whether exponents may be negative.
        """
        if self.own_form is not None:
            return self.own_form, None
        terms = tuple(
            Term(term.coordinate, term.column, n_groups - 1 if letter in offsets else 0)
            for term, letter in zip(self.terms, "AB", strict=False)
        )
        interior = Plateau(terms, signed=self.signed_plateau, falling=not negative)
        return interior, None if self.signed_plateau else Vanishing(terms, falling=not negative)

    def check_offsets(self, offsets: tuple[str, ...]) -> None:
        """Refuse offsets on amplitudes that the law does not have."""
        letters = "AB"[: len(self.terms)]
        if any(term.coordinate == "blend" for term in self.terms):
            letters = ""
        for letter in offsets:
            if letter not in letters:
                allowed = f"it allows {' and '.join(letters)}" if letters else "it allows none"
                raise ConfigError(
                    f"The law '{self.name}' cannot have group offsets on '{letter}': {allowed}. "
                    "Leave out `offsets` or choose power, shifted or joint."
                )


LAWS: Registry[Law] = Registry("law", hint="`vvscale ls laws` lists them with their formulas.")

for _law in (
    Law("power", "power law to a plateau (the study's form 1)", "E + A X^-alpha", ("X",),
        ("E", "A", "alpha"), (Term(),)),
    Law("shifted", "power law that starts only beyond 10^lambda (form 3)", "E + A (X + 10^lambda)^-alpha", ("X",),
        ("E", "A", "alpha", "lambda"), (Term("shifted"),)),
    Law("joint", "parameters and samples, each with its own power law (form 5, Chinchilla)",
        "E + A N^-alpha + B D^-beta", ("N", "D"), ("E", "A", "alpha", "B", "beta"), (Term(), Term(column=1))),
    Law("product", "one power law in a product of parameters and samples", "E + A N^-alpha D^-beta", ("N", "D"),
        ("E", "A", "alpha", "beta"), (Term("blend"),)),
    Law("pure-power", "power law without a plateau", "A X^-alpha", ("X",), ("A", "alpha"), own_form=PurePower()),
    Law("kaplan", "Kaplan et al.'s joint law, without a plateau",
        "((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D", ("N", "D"), ("N_c", "alpha_N", "D_c", "alpha_D"),
        own_form=Kaplan()),
    Law("logistic", "logistic step in log X between two plateaus", "E + A / (1 + (X / 10^midpoint)^k)", ("X",),
        ("E", "A", "k", "midpoint"), own_form=Logistic()),
    Law("log", "straight line in log X, without a limit", "intercept - slope log10(X)", ("X",),
        ("intercept", "slope"), own_form=LogLaw()),
    Law("constant", "no scaling", "E", ("X",), ("E",), own_form=Constant(), scales=False),
    Law("ccn", "power law on the score, residuals in score (the CCN 2024 form)", "S = 1 - E - A X^-alpha", ("X",),
        ("E", "A", "alpha"), (Term(),), log_residuals=False, signed_plateau=True),
    Law("ccn-joint", "the CCN form in parameters and samples", "S = 1 - E - A N^-alpha - B D^-beta", ("N", "D"),
        ("E", "A", "alpha", "B", "beta"), (Term(), Term(column=1)), log_residuals=False, signed_plateau=True),
):  # fmt: skip
    LAWS.add(_law.name, _law)
