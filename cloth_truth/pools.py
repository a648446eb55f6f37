"""Who does what in which split: every sequence is a recipe drawn from its own seed, out of the pools of its split.

Test sequences use only bodies, cuts, patterns and motions that no training or validation sequence has, and held-out
ones bodies, cuts and motions that no other has. Validation draws from the training pools and from a few items of its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .bodies import BUILDS
from .cameras import CAMERAS
from .garments import CUTS, TOPS
from .motions import FAMILIES
from .patterns import PATTERNS

SPLITS = ("train", "validation", "test", "held_out")
HAIRSTYLES = ("none", "bob", "curtain", "strips")
FABRICS = ("silk", "cotton", "wool", "denim")
BVH = "bvh:"  # how the motion of a recipe starts that comes from a file; its name in the folder follows

TEST_ONLY: dict[str, tuple[str, ...]] = {
    "body": ("tall", "soft"),
    "cut": ("mini_circle", "ankle_pleated", "ankle_long_cape"),
    "pattern": ("zigzag", "plaid", "diamonds"),
    "motion": ("twirl", "kicks", "dance"),
}
VALIDATION_ONLY: dict[str, tuple[str, ...]] = {
    "body": ("athletic",),
    "cut": ("knee_tiered",),
    "pattern": ("hatched",),
    "motion": ("jog",),
}
# opened once, when a change of the solver is finished: the test split has been looked at too often to judge by
HELD_OUT_ONLY: dict[str, tuple[str, ...]] = {
    "body": ("lanky", "stocky"),
    "cut": ("midi_circle", "knee_pleated_tiers", "ankle_column"),
    "pattern": TEST_ONLY["pattern"],
    "motion": ("skip", "lunge", "reel"),
}
ALL: dict[str, tuple[str, ...]] = {
    "body": tuple(BUILDS),
    "cut": tuple(CUTS),
    "pattern": PATTERNS,
    "motion": tuple(FAMILIES),
}


@dataclass(frozen=True)
class Recipe:
    """The choices of one sequence; its measures and phases are drawn from `seed`.

    `name` is the split and an index.
    """

    name: str
    split: str
    seed: tuple[int, ...]
    body: str
    cut: str
    top: str
    sleeves: bool
    hair: str
    pattern: str
    palette: int
    fabric: str
    motion: str
    camera: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def pool(kind: str, split: str) -> tuple[str, ...]:
    """The values of "body", "cut", "pattern" or "motion" that a split may use."""
    if split in ("test", "held_out"):
        return (TEST_ONLY if split == "test" else HELD_OUT_ONLY)[kind]
    closed = TEST_ONLY[kind] + HELD_OUT_ONLY[kind] + (() if split == "validation" else VALIDATION_ONLY[kind])
    return tuple(item for item in ALL[kind] if item not in closed)


def draw_recipe(split: str, index: int, seed: int, palettes: int, bvh: Sequence[str] = ()) -> Recipe:
    """The recipe of sequence `index` of a split; depends on these numbers alone.

    Cuts and motions take turns, so that a small set holds all of them; `palettes` is how many there are. The test and
    held-out splits have the last quarter of them to themselves. `bvh` are motions from files, which take turns
    with training's own.
    """
    key = (seed, SPLITS.index(split), index)
    rng = np.random.default_rng(key)
    own = [pool(kind, split) for kind in ("body", "cut", "pattern", "motion")]
    rounds = np.random.default_rng((seed, SPLITS.index(split)))
    body, cut, pattern, motion = own
    held = palettes // 4
    cut_name = cut[(index + rounds.integers(len(cut))) % len(cut)]
    family = motion[(index // len(cut) + index + rounds.integers(len(motion))) % len(motion)]
    if bvh and split == "train":  # each once before one comes again, in an order that meets all cuts
        motion += tuple(bvh)
        order = np.random.default_rng((seed, SPLITS.index(split), index // len(motion), 1)).permutation(len(motion))
        family = motion[order[index % len(motion)]]
    return Recipe(
        name=f"{split}_{index:04d}",
        split=split,
        seed=key,
        body=str(rng.choice(body)),
        cut=cut_name,
        top=str(rng.choice(TOPS, p=[0.5, 0.25, 0.25])),
        sleeves=bool(rng.random() < 0.3),
        hair=str(rng.choice(HAIRSTYLES, p=[0.1, 0.25, 0.35, 0.3])),
        pattern=str(rng.choice(pattern)),
        palette=int(
            rng.integers(palettes - held, palettes) if split in ("test", "held_out") else rng.integers(palettes - held)
        ),
        fabric=str(rng.choice(FABRICS, p=[0.3, 0.4, 0.15, 0.15])),
        motion=family,
        camera=CAMERAS[int(rng.choice(len(CAMERAS), p=[0.35, 0.15, 0.2, 0.3]))],
    )
