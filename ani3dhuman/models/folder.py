"""A model that lies in a folder of the user's: a fine-tuned Wan VACE, say, in diffusers' layout."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ani3d_formats.errors import Ani3DError

from .paths import CONFIG, INDEX
from .registry import COMPACT, FUN_CONTROL, Model, ModelFile, known_models
from .shapes import WanShape

EXPERTS = ("transformer", "transformer_2")
NETWORKS = (*EXPERTS, "text_encoder", "vae")


def model_in(folder: Path) -> Model:
    """What a folder holds: a pipeline in diffusers' layout, a Wan-Fun-Control as published, or a compact prior that
    `ani3dhuman prior train` wrote.

    It is given as if it stood in the registry; its name is its path.

    Weights are counted from the headers of the safetensors files, those of a quantised transformer (.gguf) from its
    shape; none is read.

    Raises:
        Ani3DError: ``models.folder``: the folder is not one of a diffusers pipeline with safetensors weights.
    """
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        return _single(folder)
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        kind = str(index["_class_name"])
        parts = [name for name in NETWORKS if isinstance(index.get(name), list) and index[name][0]]
        counts = {name: _count(folder / name) for name in parts}
        shape = _shape(folder / "transformer") if kind.startswith("Wan") else None
        quantised = [path for name in parts if name in EXPERTS for path in (folder / name).glob("*.gguf")]
        if shape and quantised:
            counts |= {name: shape.parameters for name in parts if name in EXPERTS}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise Ani3DError(
            "models.folder",
            f"{folder} is not a model in diffusers' layout ({error}).",
            "Give a folder that save_pretrained wrote: model_index.json beside transformer/, vae/, text_encoder/.",
        ) from error
    return Model(
        name=str(folder),
        kind="prior",
        licence="the user's own",
        gigabytes=round(_bytes([*folder.rglob("*.safetensors"), *quantised]) / 1e9, 3),
        files=tuple(ModelFile(path) for path in (INDEX, *(f"{part}/config.json" for part in parts))),
        needs=(),
        notes="",
        pipeline=kind,
        loader=next((known.loader for known in known_models().values() if known.pipeline == kind), None),
        local=folder,
        parameters=counts,
        experts=2 if "transformer_2" in parts else 1,
        boundary_ratio=index.get("boundary_ratio"),
        transformer=shape,
        quantised_gb=_bytes(quantised) / 1e9 if quantised else None,
    )


def _single(folder: Path) -> Model:
    """A network alone in a folder: a compact prior, or the transformer of a Wan-Fun-Control."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if "in_dim" in config and config.get("model_type") in ("t2v", "i2v"):
            known, component = known_models()[FUN_CONTROL], "transformer"
            known = replace(known, transformer=WanShape.from_published(config))
        else:
            known, component = known_models()[COMPACT], "net"
            if config["_class_name"] != known.pipeline:
                raise ValueError(f"it holds a {config['_class_name']}")
        counts = {**(known.parameters or {}), component: _count(folder)}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise Ani3DError(
            "models.folder",
            f"{folder} holds no prior ({error}).",
            "Give the folder model/ that `ani3dhuman prior train` wrote, one of a pipeline with model_index.json, or a "
            "published Wan-Fun-Control.",
        ) from error
    files = tuple(folder.glob("*.safetensors"))
    return replace(
        known,
        name=str(folder),
        licence="the user's own",
        gigabytes=round(_bytes(list(files)) / 1e9, 3),
        files=(ModelFile(CONFIG), *(ModelFile(path.name) for path in files)),
        repository=None,
        local=folder,
        parameters=counts,
    )


def _bytes(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _count(part: Path) -> int:
    """Parameters in a component's safetensors files."""
    total = 0
    for path in sorted(part.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                size = 1
                for side in file.get_slice(name).get_shape():
                    size *= side
                total += size
    return total


def _shape(part: Path) -> WanShape:
    config: dict[str, Any] = json.loads((part / "config.json").read_text(encoding="utf-8"))
    return WanShape.from_config(config)
