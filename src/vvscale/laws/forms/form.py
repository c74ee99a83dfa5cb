"""What a law's form must offer, so that anybody can add one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vvscale.laws.forms.terms import Derivatives, Points

    Array = NDArray[np.float64]


class Form(Protocol):
    """What the search for a minimum needs of a functional form; see ``plateau`` for the shapes."""

    @property
    def size(self) -> int:
        """Number of parameters p."""
        ...

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives at theta (b, p)."""
        ...

    def project(self, theta: Array) -> Array:
        """Move theta (b, p) in place to the nearest admissible values."""
        ...

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Whether each of theta (b, p) lies on the edge of the form."""
        ...

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """Which parameters (b, p) do not move: those pressed against a bound by the gradient (b, p)."""
        ...


class LawForm(Form, Protocol):
    """A form that can be fitted and reported."""

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p) for data around ``level``; a form with a grid of its own returns none of them."""
        ...

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Return parameters in units of X, each (b,); ``centre`` holds the means of the inputs' logs."""
        ...

    def edges(self, theta: Array) -> tuple[str, ...]:
        """Return the names of the edges that theta (1, p) lies on, besides those that parameters of 0 show."""
        ...
