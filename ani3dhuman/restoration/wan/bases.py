"""Few-step bases of Wan (FastWan): a text-to-video model whose weights take the place of those that VACE stands on.

VACE is the blocks of Wan's text-to-video model, unchanged, and control blocks beside them, which pass hints to them. So
the blocks of a distilled model of the same size can stand there, and the control blocks keep their own weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ani3d_formats.errors import Ani3DError

CONTROL = "vace_"  # how the names of control blocks begin
SPARSE = ".to_gate_compress."  # of sparse attention, for which dense attention has no place: it computes all


def is_base(path: Path) -> bool:
    """Whether a file holds whole blocks, by its names alone. Raises `Ani3DError` as `take_base`."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    return any(name.startswith("blocks.") for name in names) and not any(".lora_" in name for name in names)


def sparse_parts(path: Path) -> list[str]:
    """What of a base is for sparse attention and is not applied."""
    with safe_open(path, framework="pt") as file:
        return sorted(name for name in file.keys() if SPARSE in name)  # noqa: SIM118 - a file is no dict


def take_base(network: Any, path: Path) -> dict[str, torch.Tensor]:
    """Put a base's weights into a VACE transformer, in place; its control blocks stay.

    Args:
        network: `WanVACETransformer3DModel`.
        path: a `WanTransformer3DModel` as one safetensors file, under diffusers' names.

    Returns:
        The weights that were put in.

    Raises:
        Ani3DError: ``restoration.adapter_files``: the file cannot be read, or holds NaN or infinity;
            ``restoration.adapter_base``: it is a model of another size or kind. The network is as it was then.
    """
    try:
        weights = {name: value for name, value in load_file(path).items() if SPARSE not in name}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    own = network.state_dict()
    wanted = {name for name in own if not name.startswith(CONTROL)}
    wrong = sorted(
        {name for name in weights if name not in wanted or weights[name].shape != own[name].shape}
        | (wanted - weights.keys())
    )
    if wrong:
        raise Ani3DError(
            "restoration.adapter_base",
            f"{path.name} is not a base of this model: {len(wrong)} of its weights are missing or do not fit, "
            f"{wrong[0]} first.",
            "ani3dhuman models list says which base goes with which prior.",
        )
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise Ani3DError(
                "restoration.adapter_files",
                f"The base {path.name} holds NaN or infinity in {name}.",
                "Fetch it again, or use another one.",
            )
    network.load_state_dict(weights, strict=False)
    return weights


def _unreadable(path: Path, error: Exception) -> Ani3DError:
    return Ani3DError(
        "restoration.adapter_files",
        f"The adapter {path} cannot be read as one of Wan ({error}).",
        "Fetch it again, as a safetensors file.",
    )
