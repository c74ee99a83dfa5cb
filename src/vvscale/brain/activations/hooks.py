"""Finding the layers of a model by name, and watching them while the model runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn

from vvscale.errors import ConfigError, unknown_name

_PART = re.compile(r"^(?P<module>.*)\[(?P<part>[^\[\]]+)\]$")


@contextmanager
def hooks(
    module: nn.Module,
    layers: Sequence[str],
    see: Callable[[str, Any], None],
    see_input: Callable[[str, Any], None] | None = None,
) -> Iterator[None]:
    """Call ``see`` with the name and the output of each layer whenever it is called.

    ``see_input`` is called with the name and the only argument, or None where there are more, before that.
    """
    with ExitStack() as held:
        for name in layers:
            target, parts = find_module(module, name)

            def hook(
                _module: nn.Module, _inputs: Any, output: Any, name: str = name, parts: tuple[str, ...] = parts
            ) -> None:
                see(name, part_of(output, parts, name))

            held.enter_context(target.register_forward_hook(hook))
            if see_input is not None:

                def before(
                    _module: nn.Module, inputs: Any, name: str = name, told: Callable[[str, Any], None] = see_input
                ) -> None:
                    told(name, inputs[0] if len(inputs) == 1 else None)

                held.enter_context(target.register_forward_pre_hook(before))
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every submodule in evaluation mode, and afterwards back in the mode it was in.

    TF32 is off meanwhile: ten bits of a product would show in scores.
    """
    modes = [(one, one.training) for one in module.modules()]
    is_rounded, precision = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    module.eval()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = is_rounded
        torch.set_float32_matmul_precision(precision)
        for one, mode in modes:
            one.training = mode


def find_module(module: nn.Module, name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the module of a layer's name and the part of its output that is meant: keys from outside in."""
    modules = dict(module.named_modules(remove_duplicate=False))
    bare, parts = name, ()
    # A module's own name may hold brackets.
    while bare not in modules and (split := _PART.match(bare)):
        bare, parts = split["module"], (split["part"], *parts)
    if bare in modules and bare:
        return modules[bare], parts
    hint = f"The model has {len(modules) - 1} modules, such as {', '.join(list(modules)[1:6])}."
    raise unknown_name("layer", name, [known for known in modules if known], hint)


def part_of(output: Any, parts: Sequence[str], name: str) -> Any:
    """Return one part of nested tuples, dictionaries, named tuples and dataclasses."""
    for part in parts:
        try:
            if isinstance(output, Mapping):
                output = output[part] if part in output else output[int(part)]
            elif part in _field_names(output):
                output = getattr(output, part)
            else:
                output = output[int(part)]
        except (KeyError, IndexError, TypeError, ValueError):
            raise ConfigError(f"Layer '{name}' has no part '{part}': {describe(output)}.") from None
    return output


def parts_of(output: Any) -> list[Any]:
    """Return what the parts of an output are called, as layer names take them."""
    if isinstance(output, Mapping):
        return list(output)
    return _field_names(output) or (list(range(len(output))) if is_listing(output) else [])


def _field_names(output: Any) -> list[str]:
    if is_dataclass(output):
        return [one.name for one in fields(output)]
    return list(getattr(output, "_fields", ()))


def is_listing(output: Any) -> bool:
    """Whether an output is a tuple or list of parts."""
    return isinstance(output, (tuple, list))


def describe(output: Any) -> str:
    """Say what an output is that is no tensor."""
    if isinstance(output, Mapping):
        return f"a dictionary with the keys {', '.join(map(repr, output))}"
    if names := _field_names(output):
        return f"a {type(output).__name__} with the fields {', '.join(names)}"
    if is_listing(output):
        return f"a {type(output).__name__} of {len(output)} parts"
    return "nothing (None)" if output is None else f"a {type(output).__name__}"
