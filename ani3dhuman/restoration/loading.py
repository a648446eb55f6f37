"""From a prior's name to a prior that is ready for a clip: the registry says which function makes it."""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..clip import CoarseClip, RestoredClip
from ..models.find import find
from ..models.machine import Machine
from ..models.registry import Model
from ..models.store import local_path
from .conditions.scene import SceneConditions
from .prior import VideoPrior
from .restore import OUT_OF_MEMORY, RestoreConfig, memory_reported, restore


@dataclass(frozen=True)
class FoundPrior:
    """A prior, and perhaps an adapter of it, whose files are there and whole."""

    model: Model
    folder: Path
    adapter: Model | None = None
    adapter_folder: Path | None = None


def find_prior(name: str, adapter: str = "", root: Path | None = None) -> FoundPrior:
    """Look up a prior and its adapter, and check that both can be loaded here; nothing is loaded.

    Args:
        name, adapter: of the registry; a prior may also be a folder.
        root: folder of all models; None takes the default one.

    Raises:
        Ani3DError: ``models.unknown``, ``models.missing`` with the command that fetches it, ``models.needs_package``,
            ``models.not_a_prior``, ``models.wrong_base``: the adapter is for another prior.
    """
    model = find(name)
    if model.kind != "prior":
        raise Ani3DError(
            "models.not_a_prior", f"{name} is a {model.kind}.", "See ani3dhuman models list for the priors."
        )
    other = find(adapter) if adapter else None
    own = model.repository == model.name  # a folder; whether the adapter fits shows when it is loaded
    if other is not None and name not in other.base and not own:
        raise Ani3DError(
            "models.wrong_base", f"{adapter} does not go with {name}.", f"It is for {', '.join(other.base)}."
        )
    for entry in (model, other):
        missing = [package for package in (entry.needs if entry else ()) if importlib.util.find_spec(package) is None]
        if missing and entry:
            raise Ani3DError(
                "models.needs_package",
                f"{entry.name} needs {' and '.join(missing)}, which is not installed.",
                f"Install it with: pip install {' '.join(missing)}",
            )
    return FoundPrior(model, local_path(name, root), other, local_path(adapter, root) if adapter else None)


@dataclass(frozen=True)
class PriorRequest:
    """What a prior's loader is given.

    Attributes:
        found: the prior's entry and files.
        clip: what will be restored.
        conditions: draws what the scene tells a prior; called only by priors that look at it.
        machine: what there is to run on.
        text_guidance: classifier-free guidance scale.
        window_frames: 4k + 1 frames of a window, for priors that leave the choice.
        step_cache: layers are computed at every `step_cache`-th step and extrapolated between; 1 computes all.
        measure_cache: report the error of the extrapolated steps, which takes the time of two runs more.
        compile_blocks: translate the network with torch.compile.
        config: of the sampling, where it is known.
        cache: folder for what is worth keeping between jobs, such as prompt embeddings.
        leaner: how often the memory ran out so far; each time the loader takes less of it.
    """

    found: FoundPrior
    clip: CoarseClip
    conditions: Callable[[], SceneConditions]
    machine: Machine
    text_guidance: float = 5.0
    window_frames: int = 81
    step_cache: int = 1
    measure_cache: bool = False
    compile_blocks: bool = False
    config: RestoreConfig | None = None
    cache: Path | None = None
    leaner: int = 0


def load_prior(wanted: PriorRequest) -> VideoPrior:
    """The prior, by the function that its registry entry names as ``loader = "module:function"``.

    Raises:
        Ani3DError: ``models.no_loader``: nothing here runs that kind of model; ``models.memory``: it does not fit; and
            what the loader raises.
    """
    model = wanted.found.model
    module, colon, function = model.loader.partition(":")
    if not colon:
        raise Ani3DError(
            "models.no_loader",
            f"{model.name} is a {model.pipeline or 'model of no known kind'}, which nothing here runs.",
            "See docs/extending.md for how to add a prior.",
        )
    prior: VideoPrior = getattr(importlib.import_module(module), function)(wanted)
    return prior


def restore_leaner(
    wanted: PriorRequest,
    config: RestoreConfig,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> RestoredClip:
    """Load a prior and restore; when the memory runs out, go on with the next leaner way that it has.

    The steps that are done are kept where there is a `checkpoint`.

    Raises:
        Ani3DError: ``models.memory`` when nothing is leaner, and what `load_prior` and `restore` raise.
    """
    if wanted.step_cache > 1:  # what it holds is not in the checkpoint, so a continued run would differ
        checkpoint = None
    for leaner in count():
        result = _attempt(replace(wanted, leaner=leaner, config=config), config, progress, checkpoint)
        if result is not None:
            return result
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if progress:
            progress.step = 0
            progress.advance(0, "the memory ran out; trying again with less")
    raise AssertionError("unreachable")


def _attempt(
    wanted: PriorRequest, config: RestoreConfig, progress: Progress | None, checkpoint: Path | None
) -> RestoredClip | None:
    """The restored clip, or None where the memory ran out; the prior is let go in either case."""
    try:
        with memory_reported():
            prior = load_prior(wanted)
        return restore(prior, wanted.clip, config, progress, checkpoint)
    except Ani3DError as error:
        if error.code != OUT_OF_MEMORY:
            raise
        return None
