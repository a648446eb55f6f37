"""State of a fit on disk, so that a cancelled or killed one goes on to the same result.

One safetensors file: field, best field, Adam's moments; step and history as JSON in its header. The order
of frames needs no state, since it follows from seed and step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ani3d_formats.atomic import write_bytes

from .frames_on_disk import Frames

SCHEMA = "ani3dhuman.refinement.checkpoint"


def fingerprint(problem: Any, config: Any, check_cancelled: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of everything the result depends on; a checkpoint of another fingerprint is not used.

    `check_cancelled` is called between arrays, and between frames of those that have some; it may raise, to stop.
    """
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())

    def add(value: Any) -> None:
        if is_dataclass(value):
            for entry in fields(value):
                digest.update(entry.name.encode())
                add(getattr(value, entry.name))
        elif isinstance(value, Tensor):
            add(value.cpu().numpy())
        elif isinstance(value, tuple):
            digest.update(f"{len(value)} of".encode())
            for part in value:
                add(part)
        elif isinstance(value, np.ndarray | Frames):
            digest.update(f"{value.shape}{value.dtype}".encode())
            for part in value if value.ndim > 2 else (value,):  # a frame at a time: some are broadcast views
                check_cancelled()
                digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(value).encode())

    add(problem)
    return digest.hexdigest()


def save_checkpoint(path: Path, mark: str, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """Write a checkpoint atomically: named tensors and JSON `notes`, valid for the fingerprint `mark`."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"schema": SCHEMA, "fingerprint": mark, "notes": json.dumps(notes)}
    header["sha256"] = _content(whole, header["notes"])
    write_bytes(path, safetensors.torch.save(whole, header))


def load_checkpoint(path: Path, mark: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint at `path`, or None where there is none for `mark`; a damaged one counts as none."""
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
            if header.get("schema") != SCHEMA or header.get("fingerprint") != mark:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if header["sha256"] != _content(tensors, header["notes"]):
                return None
            return tensors, json.loads(header["notes"])
    except (OSError, ValueError, KeyError, safetensors.SafetensorError):
        return None


def _content(tensors: dict[str, Tensor], notes: str) -> str:
    """SHA-256 of what a checkpoint holds."""
    digest = hashlib.sha256(notes.encode())
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].dtype}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def pack_adam(optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's moments and step counts as named tensors."""
    states = optimizer.state_dict()["state"]
    return {f"adam.{index}.{key}": value for index, state in states.items() for key, value in state.items()}


def unpack_adam(optimizer: torch.optim.Adam, tensors: dict[str, Tensor]) -> None:
    """Put back what `pack_adam` took."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, index, key = name.split(".")
            states.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def with_prefix(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of `state` under ``prefix.``."""
    return {f"{prefix}.{name}": value for name, value in state.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that `with_prefix` named."""
    start = len(prefix) + 1
    return {name[start:]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
