"""From a prior's name to a prior that is ready for a clip: the registry says which function makes it."""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..clip import CoarseClip, RestoredClip
from ..models.find import find
from ..models.hashes import content_hashes
from ..models.machine import Machine
from ..models.registry import Model
from ..models.store import local_path
from .conditions.scene import SceneConditions
from .prior import VideoPrior
from .restore import OUT_OF_MEMORY, RestoreConfig, memory_reported, restore


@dataclass(frozen=True)
class FoundPrior:
    """A prior, perhaps an adapter of it, and the folder of the one that `Model.beside` names; their files are whole."""

    model: Model
    folder: Path
    adapter: Model | None = None
    adapter_folder: Path | None = None
    beside: Path | None = None


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
    made_for = other.distilled.priors if other is not None and other.distilled is not None else ()
    shows_later = model.local is not None and model.beside is None  # when it is merged into the folder's weights
    if other is not None and name not in made_for and not shows_later:
        raise Ani3DError(
            "models.wrong_base", f"{adapter} does not go with {name}.", f"It is for {', '.join(made_for)}."
        )
    for entry in (model, other):
        missing = [package for package in (entry.needs if entry else ()) if importlib.util.find_spec(package) is None]
        if missing and entry:
            raise Ani3DError(
                "models.needs_package",
                f"{entry.name} needs {' and '.join(missing)}, which is not installed.",
                f"Install it with: pip install {' '.join(missing)}",
            )
    beside = local_path(model.beside, root) if model.beside else None
    return FoundPrior(model, local_path(name, root), other, local_path(adapter, root) if adapter else None, beside)


def depends_on(
    found: FoundPrior, choices: Mapping[str, Any], advance: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """What a prior's result depends on besides the clip and the sampling, for its key.

    These are the contents of its files and of the adapter's, and those of `choices` whose names its loader's module
    lists in ``DEPENDS_ON``; all where there is no such list.

    Args:
        found: the prior.
        choices: by name what a job lets a prior look at.
        advance: is told the bytes of each piece of a file that is read.

    Raises:
        Ani3DError: ``models.no_loader``.
    """
    module, _ = loader_of(found.model)
    folders = [folder for folder in (found.folder, found.adapter_folder, found.beside) if folder is not None]
    files = [content_hashes(folder, advance) for folder in folders]
    return {"files": files, **{name: choices[name] for name in getattr(module, "DEPENDS_ON", choices)}}


@dataclass(frozen=True)
class PriorOptions:
    """How a prior is run, as far as it leaves the choice.

    Attributes:
        text_guidance: classifier-free guidance scale.
        window_frames: 4k + 1 frames of a window.
        step_cache: layers are computed at every so many-th step and extrapolated between; 1 computes all.
        measure_cache: say in the report how wrong the extrapolated steps are, which takes the time of two runs more.
        compile_blocks: translate the network with torch.compile.
    """

    text_guidance: float = 5.0
    window_frames: int = 81
    step_cache: int = 1
    measure_cache: bool = False
    compile_blocks: bool = False


@dataclass(frozen=True)
class PriorRequest:
    """What a prior's loader is given.

    Attributes:
        found: the prior's entry and files.
        clip: what will be restored.
        conditions: draws what the scene tells a prior; called only by priors that look at it.
        machine: what there is to run on.
        options: how to run.
        config: of the sampling, where it is known.
        cache: folder for what is worth keeping between jobs, such as prompt embeddings.
    """

    found: FoundPrior
    clip: CoarseClip
    conditions: Callable[[], SceneConditions]
    machine: Machine
    options: PriorOptions = field(default_factory=PriorOptions)
    config: RestoreConfig | None = None
    cache: Path | None = None


Plans = Iterator[Callable[[], VideoPrior]]  # ways to load a prior, the fastest first, each with less memory


def reads_pictures(found: FoundPrior) -> bool:
    """Whether a prior looks at pictures of the coarse layer: its loader's module may say no by ``READS_PICTURES``."""
    return bool(getattr(loader_of(found.model)[0], "READS_PICTURES", True))


def loader_of(model: Model) -> tuple[ModuleType, str]:
    """Module and name of the function that the registry's ``loader = "module:function"`` names.

    Raises:
        Ani3DError: ``models.no_loader``: nothing here runs that kind of model.
    """
    module, colon, function = (model.loader or "").partition(":")
    if not colon:
        raise Ani3DError(
            "models.no_loader",
            f"{model.name} is a {model.pipeline or 'model of no known kind'}, which nothing here runs.",
            "See docs/extending.md for how to add a prior.",
        )
    return importlib.import_module(module), function


def plans(request: PriorRequest) -> Plans:
    """The ways to load a prior that its loader knows, the fastest first; nothing is loaded before one is called.

    Raises:
        Ani3DError: ``models.no_loader``; when nothing leaner is left ``models.memory``, and what the loader raises.
    """
    module, function = loader_of(request.found.model)
    ways: Plans = getattr(module, function)(request)
    return ways


def restore_within_memory(
    request: PriorRequest,
    config: RestoreConfig,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> RestoredClip:
    """Load a prior and restore; when the memory runs out, go on with the next leaner plan that it has.

    The steps that are done are kept where there is a `checkpoint`.

    Raises:
        Ani3DError: ``models.memory`` when nothing is leaner, and what `plans` and `restore` raise.
    """
    if request.options.step_cache > 1:  # what it holds is not in the checkpoint, so a continued run would differ
        checkpoint = None
    for load in plans(replace(request, config=config)):
        try:
            return restore(_loaded(load), request.clip, config, progress, checkpoint)
        except Ani3DError as error:
            if error.code != OUT_OF_MEMORY:
                raise
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if progress:
            progress.step = 0
            progress.advance(0, "the memory ran out; trying again with less")
    raise Ani3DError(
        "models.memory", f"{request.found.model.name} ran out of memory.", "Take a smaller picture or another prior."
    )


def _loaded(load: Callable[[], VideoPrior]) -> VideoPrior:
    with memory_reported():
        return load()
