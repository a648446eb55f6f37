"""A human rig made of numbers, whose bones can be called as in any naming scheme; she faces -Y, her left is +X."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from synthetic import make_arrays

from ani3d_formats.shot import Shot

FINGERS = ("thumb", "index", "middle", "ring", "pinky")

# plain name (left side only) -> head, tail
_CENTRE = {
    "hips": ((0, 0, 0.95), (0, 0, 1.05)),
    "spine": ((0, 0, 1.05), (0, 0, 1.4)),
    "neck": ((0, 0.01, 1.48), (0, -0.02, 1.6)),
    "head": ((0, -0.02, 1.6), (0, -0.02, 1.78)),
}
_LEFT = {
    "clavicle": ((0.03, 0, 1.42), (0.17, 0, 1.42)),
    "upperarm": ((0.17, 0, 1.4), (0.38, 0, 1.2)),
    "lowerarm": ((0.38, 0, 1.2), (0.52, -0.1, 1.02)),
    "hand": ((0.52, -0.1, 1.02), (0.56, -0.13, 0.95)),
    "upperleg": ((0.1, 0, 0.92), (0.12, -0.02, 0.5)),
    "lowerleg": ((0.12, -0.02, 0.5), (0.13, 0.02, 0.09)),
    "foot": ((0.13, 0.02, 0.09), (0.13, -0.12, 0.03)),
    "toes": ((0.13, -0.12, 0.03), (0.13, -0.18, 0.03)),
}
_KNUCKLES = np.array([0.55, -0.13, 0.95])


def bones(fingers: bool = True) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Plain name with .L or .R -> head and tail, world metres."""
    left = {name: (np.array(a, float), np.array(b, float)) for name, (a, b) in _LEFT.items()}
    for f, finger in enumerate(FINGERS if fingers else ()):
        base = _KNUCKLES + (f - 2) * np.array([0.012, 0.02, 0.0])
        along = np.array([0.01, 0.002 * (f - 2), -0.025])
        for level in (1, 2, 3):
            left[f"{finger}{level}"] = (base + (level - 1) * along, base + level * along)
    out = {name: (np.array(a, float), np.array(b, float)) for name, (a, b) in _CENTRE.items()}
    for side, sign in ((".L", 1), (".R", -1)):
        out |= {name + side: (a * [sign, 1, 1], b * [sign, 1, 1]) for name, (a, b) in left.items()}
    return out


def matrix(head: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """A bone's world matrix: origin at the head, local +Y along the bone, some roll."""
    y = (tail - head) / np.linalg.norm(tail - head)
    x = np.cross(y, [0.3, 0.9, 0.31])
    x /= np.linalg.norm(x)
    out = np.eye(4)
    out[:3] = np.stack([x, y, np.cross(x, y), head], 1)
    return out


def human_arrays(
    rename: Callable[[str], str] = lambda name: name,
    extra: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    fingers: bool = True,
    turn: float = 0.0,
    size: tuple[int, int] = (384, 512),
) -> dict[str, np.ndarray]:
    """The arrays of a two-frame shot; `rename` maps plain names to a scheme's, `extra` bones come first.

    In the second frame she stands 10 cm to her left. `turn` turns her about the vertical, radians.
    """
    plain = bones(fingers)
    named = {**(extra or {}), **{rename(name): ends for name, ends in plain.items()}}
    rest = np.stack([matrix(*ends) for ends in named.values()])
    spin = np.eye(4)
    spin[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    shift = np.eye(4)
    shift[0, 3] = 0.1
    arrays = make_arrays(2, width=size[0], height=size[1])
    meta = json.loads(str(arrays["meta"][()]))
    meta["bones"] = list(named)
    index = {name: i for i, name in enumerate(named)}
    columns = [index[rename(name)] for name in ("hips", "spine", "head")]
    return arrays | {
        "meta": np.array(json.dumps(meta)),
        "bone_parents": np.full(len(named), -1, np.int32),
        "bone_rest": rest.astype(np.float32),
        "bone_lengths": np.array([np.linalg.norm(b - a) for a, b in named.values()], np.float32),
        "bone_pose": np.stack([spin @ rest, shift @ spin @ rest]).astype(np.float32),
        "weight_indices": np.tile(np.array(columns, np.int32), (len(arrays["vertices"]), 1)),
    }


def human_shot(**options: object) -> Shot:
    return Shot.from_arrays(human_arrays(**options))  # type: ignore[arg-type]
