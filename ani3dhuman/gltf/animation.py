"""Clips of a glTF file: where its nodes are at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from ani3d_formats.errors import Ani3DError

from .document import Document

_WIDTHS = {"translation": 3, "rotation": 4, "scale": 3}
LONGEST = 3600.0  # seconds of a clip; more is a damaged time


@dataclass(frozen=True)
class Clip:
    """A clip: `channels` have (node, what) -> (times (K,) seconds, values (K,w), how they are joined)."""

    name: str
    channels: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]

    @property
    def span(self) -> tuple[float, float]:
        """First and last second."""
        times = [times for times, _, _ in self.channels.values()]
        return min(float(t[0]) for t in times), max(float(t[-1]) for t in times)


def read_clips(document: Document) -> list[Clip]:
    """All clips that move nodes; weights of shape keys are left out."""
    clips = []
    for number, entry in enumerate(document.rows("animations")):
        channels = {}
        for channel in entry["channels"]:
            what, node = channel["target"]["path"], channel["target"].get("node")
            if what not in _WIDTHS or node is None:
                continue
            sampler = entry["samplers"][channel["sampler"]]
            times, values = document.accessor(sampler["input"])[:, 0], document.accessor(sampler["output"])
            joined = sampler.get("interpolation", "LINEAR")
            if joined == "CUBICSPLINE":
                values = values.reshape(len(times), -1)
            wanted = (len(times), _WIDTHS[what] * (3 if joined == "CUBICSPLINE" else 1))
            if not len(times) or values.shape != wanted or not (np.diff(times) >= 0).all():
                raise ValueError(f"animation {number} has {values.shape} values at {len(times)} times")
            if not np.isfinite(values).all() or not 0 <= times[0] <= times[-1] <= LONGEST:
                raise ValueError(f"animation {number} has values or times that are not possible")
            channels[int(node), what] = times.astype(np.float64), values.astype(np.float64), joined
        if channels:
            clips.append(Clip(str(entry.get("name", f"clip {number}")), channels))
    return clips


def choose_clip(document: Document, wanted: str | None) -> Clip | None:
    """The clip of this name or number, else the first; None where there is none and none was asked for.

    Raises:
        Ani3DError: ``gltf.clip``.
    """
    clips = read_clips(document)
    if wanted is None:
        return clips[0] if clips else None
    found = [clip for number, clip in enumerate(clips) if wanted in (clip.name, str(number))]
    if not found:
        names = ", ".join(f"{number} '{clip.name}'" for number, clip in enumerate(clips)) or "none"
        raise Ani3DError("gltf.clip", f"{document.path.name} has no clip '{wanted}'.", f"It has {names}.")
    return found[0]


def world_matrices(document: Document, clip: Clip | None, times: np.ndarray) -> np.ndarray:
    """(T,M,4,4) float64 of all nodes in the world at these seconds; zero for nodes that are not in the scene."""
    nodes = document.rows("nodes")
    moving = {node for node, _ in (clip.channels if clip else ())}
    world = np.zeros((len(times), len(nodes), 4, 4))
    for node, above in document.tree():
        local = _moving(nodes[node], clip, node, times) if clip and node in moving else document.local(node)[None]
        world[:, node] = world[:, above] @ local if above >= 0 else local
    return world


def _moving(node: dict[str, object], clip: Clip, index: int, times: np.ndarray) -> np.ndarray:
    """(T,4,4) of a node that a clip moves."""
    defaults = {"translation": (0, 0, 0), "rotation": (0, 0, 0, 1), "scale": (1, 1, 1)}
    parts = {}
    for what, default in defaults.items():
        channel = clip.channels.get((index, what))
        still = np.array(node.get(what, default), np.float64)
        parts[what] = (
            np.tile(still, (len(times), 1)) if channel is None else sampled(*channel, times, what == "rotation")
        )
    matrix = np.tile(np.eye(4), (len(times), 1, 1))
    matrix[:, :3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * parts["scale"][:, None, :]
    matrix[:, :3, 3] = parts["translation"]
    return matrix


def sampled(keys: np.ndarray, values: np.ndarray, joined: str, times: np.ndarray, turning: bool) -> np.ndarray:
    """Values (T,w) at `times`, held before the first and after the last key; as glTF's three interpolations say."""
    at = np.clip(times, keys[0], keys[-1])
    if len(keys) == 1:
        middle = values[:, values.shape[1] // 3 : 2 * values.shape[1] // 3] if joined == "CUBICSPLINE" else values
        return np.tile(middle[0], (len(times), 1))
    k = np.clip(np.searchsorted(keys, at, "right") - 1, 0, len(keys) - 2)
    step = np.maximum(keys[k + 1] - keys[k], 1e-9)
    s = ((at - keys[k]) / step)[:, None]
    if joined == "STEP":
        return values[np.where(at >= keys[-1], len(keys) - 1, k)]
    if joined == "CUBICSPLINE":
        w = values.shape[1] // 3
        enter, point, leave = values[:, :w], values[:, w : 2 * w], values[:, 2 * w :]
        s2, s3, d = s * s, s**3, step[:, None]
        found = (
            (2 * s3 - 3 * s2 + 1) * point[k]
            + d * (s3 - 2 * s2 + s) * leave[k]
            + (3 * s2 - 2 * s3) * point[k + 1]
            + d * (s3 - s2) * enter[k + 1]
        )
        return found / np.linalg.norm(found, axis=1, keepdims=True) if turning else found
    if not turning:
        return (1 - s) * values[k] + s * values[k + 1]
    unique = np.r_[True, np.diff(keys) > 0]
    return Slerp(keys[unique], Rotation.from_quat(values[unique]))(at).as_quat()
