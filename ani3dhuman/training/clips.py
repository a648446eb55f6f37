"""Training clips: the maps of a rigid layer and of where the true cloth was, one small file a view."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.npz import read_npz
from ani3d_formats.shot import save_arrays

from ..clip import CoarseClip
from ..restoration.compact.feature_maps import CHANNELS, RIGHTWARD, surface_maps

HELD_OUT = "validation"  # how the name of a clip begins that training only looks at
Maps = tuple[np.ndarray, np.ndarray]


def write_clip(path: Path, clip: CoarseClip, truth: np.ndarray) -> None:
    """Draw a clip's maps and write them atomically.

    Args:
        path: NAME.npz; a name that begins with `HELD_OUT` is for validation.
        clip: camera and rigid layer; its coarse layer is not looked at.
        truth: (T,V,3) true vertices, world metres.
    """
    maps = surface_maps(clip, layers=[truth])
    arrays = {
        "conditions": maps.conditions.astype(np.float16),
        "offsets": maps.offsets[0].astype(np.float16),
    }
    save_arrays(path, arrays)


@dataclass
class Clips:
    """All clips of some folders: (conditions (T,K,h,w), offsets (T,3,h,w) metres) pairs, float16."""

    folders: tuple[Path, ...]
    train: list[Maps] = field(default_factory=list)
    validation: list[Maps] = field(default_factory=list)
    known: set[Path] = field(default_factory=set)

    def refresh(self) -> None:
        """Read clips that have appeared since the last time.

        Raises:
            Ani3DError: ``training.clip``: a file is none, or of another version.
        """
        for path in sorted(p for folder in self.folders for p in folder.glob("[!.]*.npz")):
            if path in self.known:
                continue
            self.known.add(path)
            try:
                file = read_npz(path)
                pair = file["conditions"], file["offsets"]
                if pair[0].shape[1] != CHANNELS or len(pair[0]) != len(pair[1]):
                    raise ValueError(f"conditions {pair[0].shape}, offsets {pair[1].shape}")
            except (OSError, ValueError, LookupError) as error:
                raise Ani3DError(
                    "training.clip", f"{path} is no training clip of this version ({error}).", "Make the clips again."
                ) from error
            (self.validation if path.name.startswith(HELD_OUT) else self.train).append(pair)


def take_batch(
    pairs: list[Maps], rng: np.random.Generator, size: int, window: int, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random windows, half of them mirrored: x0 (B,W,3,h,w) in latent units and conditions (B,W,K,h,w).

    A clip shorter than the window repeats its last frame.
    """
    clean, conditions = [], []
    for _ in range(size):
        c, o = pairs[rng.integers(len(pairs))]
        start = int(rng.integers(max(len(c) - window, 0) + 1))
        frames = np.minimum(np.arange(start, start + window), len(c) - 1)
        c, o = c[frames].astype(np.float32), o[frames].astype(np.float32)
        if rng.random() < 0.5:
            c, o = c[..., ::-1].copy(), o[..., ::-1].copy()
            c[:, RIGHTWARD] *= -1
            o[:, 0] *= -1
        clean.append(o / scale)
        conditions.append(c)
    return torch.from_numpy(np.stack(clean)), torch.from_numpy(np.stack(conditions))
