"""Make a job from a spec: everything is checked before anything is computed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from vvscale.data import Augmentation, Dataset, Evaluation, Loader, Subset, balanced_subset, load_dataset
from vvscale.errors import ConfigError
from vvscale.models import Cost, architecture, build_model, load_model, load_state, model_cost
from vvscale.models.architectures.names import stem_for
from vvscale.models.foreign import is_foreign
from vvscale.train.compute.ema import WeightAverage
from vvscale.train.compute.evaluate import evaluating
from vvscale.train.compute.optimizer import build_optimizer
from vvscale.train.compute.ranks import Ranks
from vvscale.train.objectives.adversarial import AdversarialObjective
from vvscale.train.objectives.dino import DINOObjective
from vvscale.train.objectives.simclr import SimCLRObjective
from vvscale.train.objectives.supervised import Criterion, SupervisedObjective
from vvscale.train.recipe import REFERENCE_SIZE, Recipe
from vvscale.train.run_folder import RunFolder
from vvscale.train.spec import RunSpec
from vvscale.train.step import Job, Options

if TYPE_CHECKING:
    from vvscale.models.architectures.families import ModelOptions

_SMALL = 64
"""Images up to this width are trained on as they are, whatever the architecture was made for."""


def build_job(spec: RunSpec, here: Ranks, options: Options, folder: RunFolder) -> Job:
    """Load the images, build the network and everything around it.

    Raises
    ------
    ConfigError
        The spec asks for something impossible, or the folder holds another run.
    DataError
        The images do not allow it.
    """
    options = options.on(here.device)
    dataset = load_dataset(spec.dataset)
    subset = choose_subset(spec, dataset)
    evaluation = evaluation_of(spec, dataset)
    loader = _loader(spec, dataset, subset, evaluation, here, options)
    torch.set_num_threads(1 if here.device.type == "cpu" else torch.get_num_threads())
    network, model_options = build_network(spec, dataset, evaluation.image_size)
    network = network.to(here.device)
    if here.device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(spec.seed)  # for the heads of objectives
        objective = build_objective(spec.recipe, network, evaluation).to(here.device)
    if options.compile:
        network.compile()
    # Not before all of it could be built: a refused run must not keep the folder from the right one.
    claim(spec, dataset, subset, folder, here)
    evaluated = objective.teacher_backbone if isinstance(objective, DINOObjective) else network
    return Job(
        spec=spec,
        options=options,
        here=here,
        dataset=dataset,
        subset=subset,
        loader=loader,
        evaluation=evaluation,
        network=evaluated,  # pyright: ignore[reportArgumentType]
        objective=objective,
        optimizer=build_optimizer(objective, spec.recipe.optimizer),
        average=None if spec.recipe.ema is None else WeightAverage(network, spec.recipe.ema),
        cost=cost_of(spec, dataset, evaluation.image_size),
        model_options=model_options,
    )


def choose_subset(spec: RunSpec, dataset: Dataset) -> Subset:
    """Return the images that a run trains on."""
    return balanced_subset(
        dataset.train,
        samples_per_class=spec.samples_per_class,
        seed=spec.seed if spec.subset_seed is None else spec.subset_seed,
        rule=spec.subset_rule,
    )


def claim(spec: RunSpec, dataset: Dataset, subset: Subset, folder: RunFolder, here: Ranks) -> None:
    """Make the folder this run's, or refuse it."""
    if here.is_first:
        folder.claim(
            {
                "run": {**spec.to_dict(), "recipe": spec.recipe.to_dict()},
                "digest": spec.digest(),
                "data": {"train": dataset.train.digest, "val": dataset.val.digest, "subset": subset.digest},
            }
        )
    here.barrier()


def evaluation_of(spec: RunSpec, dataset: Dataset) -> Evaluation:
    """Return how held-out images are shown: as published for the architecture, small ones as they are."""
    known = architecture(spec.model)
    augmentation = spec.recipe.augmentation
    native = native_size(dataset)
    size = spec.image_size or native or known.image_size
    resize = size if native is not None else round(known.resize * size / known.image_size)
    return Evaluation(image_size=size, resize=resize, mean=augmentation.mean, std=augmentation.std)


def input_line(spec: RunSpec) -> str:
    """Say in one line what the network sees, and through which first layers."""
    size = evaluation_of(spec, load_dataset(spec.dataset)).image_size
    stem = stem_for(spec.model, size, spec.stem)
    of_stem = {"small": ", small stem (no downsampling)", "published": ", published stem", "": ""}[stem]
    return f"{spec.model}: images of {size} x {size} pixels{of_stem}"


def native_size(dataset: Dataset) -> int | None:
    """Return the width of a data set of small images, all squares of one size; None for others."""
    sizes = dataset.train.sizes
    width = int(sizes[0, 0])
    return width if width <= _SMALL and bool((sizes == width).all()) else None


def _loader(
    spec: RunSpec, dataset: Dataset, subset: Subset, evaluation: Evaluation, here: Ranks, options: Options
) -> Loader:
    recipe = spec.recipe
    n_images = len(subset.index)
    batch_size = batch_of(spec, n_images)
    needs_equal_shares = recipe.simclr is not None and here.world_size > 1
    if needs_equal_shares and (batch_size % here.world_size or (n_images % batch_size and not recipe.drop_last)):
        raise ConfigError(
            f"SimCLR compares images of all {here.world_size} processes and needs equal shares of every batch. "
            "Choose a `batch_size` that is a multiple of their number, and `changes=drop_last=true`."
        )
    transforms = transforms_of(recipe, evaluation)
    return Loader(
        dataset.train,
        subset.index,
        transform=transforms if recipe.views else transforms[0],
        batch_size=batch_size,
        seed=spec.seed,
        device=str(here.device),
        residency=options.residency,
        rank=here.rank,
        world_size=here.world_size,
        drop_last=recipe.drop_last,
        repeats=recipe.repeats,
    )


def batch_of(spec: RunSpec, n_images: int) -> int:
    """Return the images per step, or refuse a batch that a subset does not fill."""
    batch_size = spec.recipe.batch_for(n_images)
    if batch_size > n_images:
        raise ConfigError(
            f"The batch of {batch_size} images is larger than the subset of {n_images} "
            f"({spec.samples_per_class} per class of '{spec.dataset_name}'). Lower it with "
            f"`changes=batch_size={n_images}`, or train on the whole subset at once with `changes=fits_batch=true`."
        )
    return batch_size


def transforms_of(recipe: Recipe, evaluation: Evaluation) -> tuple[Augmentation, ...]:
    """Return the views of training images, or the one, in the size that the network sees."""
    return tuple(_at(view, evaluation.image_size) for view in recipe.views or (recipe.augmentation,))


def _at(view: Augmentation, image_size: int) -> Augmentation:
    """Return a view of a recipe in the size that it has for a network of ``image_size`` pixels."""
    return dataclasses.replace(view, image_size=max(round(view.image_size * image_size / REFERENCE_SIZE), 1))


def build_network(spec: RunSpec, dataset: Dataset, image_size: int) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network of a run, with random weights or those it starts from, and say how to build it again."""
    recipe = spec.recipe
    options: dict[str, Any] = {
        "n_classes": 0 if recipe.objective in {"simclr", "dino"} else dataset.train.n_classes,
        "image_size": image_size,
        "stem": spec.stem,
    }
    network = build_model(
        spec.model,
        **options,
        drop_path=architecture(spec.model).drop_path if recipe.drop_path == "published" else recipe.drop_path,
        seed=spec.seed,
    )
    if spec.start is not None:
        start_from(spec.start, spec.model, network)
    _, built = cast("tuple[str, ModelOptions]", network.built_as)
    return network, built.to_dict()


def start_from(start: str, model: str, network: nn.Module) -> str:
    """Give a network the weights that its run starts from, and return one line on what was read.

    A classifier of other classes is left as drawn: the images are another data set's.

    Raises
    ------
    ShapeError
        They are of another network.
    """
    loaded = load_model(start, arch=model if is_foreign(Path(start)) else None)
    state, own = dict(loaded.module.state_dict()), network.state_dict()
    head = f"{architecture(model).head_layer}."
    others = [key for key in own if key.startswith(head) and key in state and state[key].shape != own[key].shape]
    if head != "." and others:
        state |= {key: own[key] for key in own if key.startswith(head)}
    elif head != "." and not any(key.startswith(head) for key in own):
        state = {key: tensor for key, tensor in state.items() if not key.startswith(head)}
    load_state(network, state, where=f"'{start}'")
    left = f" Its classifier is of other classes and was left as drawn: {', '.join(others)}." if others else ""
    return (loaded.note or f"{start}: all tensors of {model} read.") + left


def cost_of(spec: RunSpec, dataset: Dataset, image_size: int) -> Cost:
    """Return what the network of a run costs, on the axes of the published tables.

    These count a head of 1000 classes whatever the data set. A network for small images can be smaller than such
    a head, so it is counted as it is.
    """
    head = None if native_size(dataset) is not None else 1000
    return model_cost(
        spec.model, n_classes=dataset.train.n_classes, image_size=image_size, stem=spec.stem, head_classes=head
    )


def build_objective(recipe: Recipe, network: nn.Module, evaluation: Evaluation) -> nn.Module:
    """Return the loss of a recipe as a module around the network."""
    criterion = Criterion(recipe.loss)
    if recipe.attack is not None:
        return AdversarialObjective(network, criterion, recipe.attack, mean=evaluation.mean, std=evaluation.std)
    if recipe.simclr is not None or recipe.dino is not None:
        n_features = count_features(network, evaluation.image_size)
        if recipe.simclr is not None:
            return SimCLRObjective(network, n_features, recipe.simclr)
        assert recipe.dino is not None
        return DINOObjective(network, n_features, recipe.dino)
    return SupervisedObjective(network, criterion)


def count_features(network: nn.Module, image_size: int) -> int:
    """Return the width of a network's output."""
    device = next(network.parameters()).device
    with evaluating(network):
        return network(torch.zeros(1, 3, image_size, image_size, device=device)).shape[1]
