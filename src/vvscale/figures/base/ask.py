"""What a user may ask of a general figure."""

from __future__ import annotations

from dataclasses import dataclass

from vvscale.core.options import Options, option


@dataclass(frozen=True, kw_only=True)
class FigureOptions(Options):
    """Options of the general figures; presets of the papers take none of them."""

    x: str = option("", "Column of the x-axis; by default compute, samples seen, parameters: the first it has.")
    y: str = option("", "What is drawn: a region, 'neural', 'all', or any column; by default the mean over regions.")
    law: str = option("power", "Law that is fitted; 'none' draws points only. `vvscale ls laws` lists them.")
    each: str = option("", "Column: each of its values has its own colour and its own law.")
    colour: str = option("", "Column that colours the points, with one law for all.")
    facet: str = option("", "Column: one panel for each of its values.")
    where: tuple[str, ...] = option((), "Condition on rows, such as family=ResNet,ViT or 'n_params>=1e6'.")

    @property
    def given(self) -> list[str]:
        """Names of the options that differ from their defaults."""
        defaults = FigureOptions()
        return [name for name, value in self.to_dict().items() if value != getattr(defaults, name)]
