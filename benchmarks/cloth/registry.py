"""The sequences of the hard set by name, and what most of them share: a person, her dress, her walk."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ani3d_formats.shot import Shot
from cloth_truth.bodies import Body, make_body
from cloth_truth.garments import CUTS, Part, make_dress, make_hair
from cloth_truth.motions import FAMILIES, make_motion

SEQUENCES: dict[str, Callable[[], Shot]] = {}
ABOUT: dict[str, str] = {}


def sequence(name: str, about: str) -> Callable[[Callable[[str], Shot]], Callable[[str], Shot]]:
    """Register the function that makes the shot of this name; `about` is said in the table."""

    def keep(make: Callable[[str], Shot]) -> Callable[[str], Shot]:
        SEQUENCES[name], ABOUT[name] = (lambda: make(name)), about
        return make

    return keep


@lru_cache
def person(build: str = "medium") -> Body:
    return make_body(build)


def dress(cut: str, top: str = "bodice", seed: int = 1, detail: float = 1.0, build: str = "medium") -> list[Part]:
    """A garment of Cloth Truth, and its cape where the cut has one."""
    return make_dress(np.random.default_rng((19, seed)), person(build), CUTS[cut], top, detail, 0.15)


def walk(frames: int, fps: float = 24.0, family: str = "walk", seed: int = 3, build: str = "medium") -> np.ndarray:
    """One of Cloth Truth's motions, at any frame rate; the same motion at all of them."""
    fine = make_motion(np.random.default_rng((19, seed)), person(build), FAMILIES[family], 24, max(frames, 120), 0.12)
    times = 24 + np.arange(frames) * 24 / fps
    first = np.floor(times).astype(int)
    share = (times - first)[:, None, None, None].astype(np.float32)
    after = np.minimum(first + 1, len(fine) - 1)
    return (1 - share) * fine[first] + share * fine[after]  # 0.2 degrees between frames: no need to turn matrices


def strips(seed: int, kind: str = "strips") -> Part:
    return make_hair(np.random.default_rng((19, seed)), person(), kind, 1.0)
