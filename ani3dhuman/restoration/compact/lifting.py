"""From displacement maps back to the mesh: read at visible vertices, diffused over the mesh to hidden ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array, csr_array

from ...clip import CoarseClip
from ...mesh.topology import edges_of
from .feature_maps import SurfaceMaps

OCCLUSION_SCALE = 0.07  # metres behind the visible cloth at which confidence falls to exp(-1)
DIFFUSION_STEPS = 24
NEIGHBOUR_WEIGHT = 0.35  # of the neighbours' mean, against the map reading's confidence


def lift_offsets(clip: CoarseClip, maps: SurfaceMaps, offsets: np.ndarray) -> np.ndarray:
    """World offsets (T,V,3) of mesh vertices from maps (T,3,h,w) in the levelled camera frame, metres.

    A vertex reads the map at the pixel where the rigid layer has it. The further it lies behind the cloth seen there,
    the lower its confidence; neighbours on the mesh are averaged by confidence. Pinned vertices, body and
    face get exactly 0.
    """
    moving = np.flatnonzero(clip.freedom > 0)
    lifted = np.zeros(clip.vertices.shape, np.float32)
    if len(moving) == 0:
        return lifted
    mean = _neighbour_mean(clip, moving)
    freedom = clip.freedom[moving][:, None]
    for t, (read, seen) in enumerate(_readings(clip, maps, moving, offsets)):
        confidence, target = seen[:, None], read @ maps.axes[t]
        value = confidence * target
        for _ in range(DIFFUSION_STEPS):
            value = (
                freedom * (confidence * target + NEIGHBOUR_WEIGHT * (mean @ value)) / (confidence + NEIGHBOUR_WEIGHT)
            )
        lifted[t, moving] = value
    return lifted


def visibility(clip: CoarseClip, maps: SurfaceMaps) -> np.ndarray:
    """(T,V) float32 0..1, the confidence with which `lift_offsets` reads each vertex; 0 for what cannot move."""
    moving = np.flatnonzero(clip.freedom > 0)
    seen = np.zeros(clip.vertices.shape[:2], np.float32)
    for t, (_, confidence) in enumerate(_readings(clip, maps, moving, maps.coverage[:, :0])):
        seen[t, moving] = confidence
    return seen


def _readings(
    clip: CoarseClip, maps: SurfaceMaps, moving: np.ndarray, layers: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each frame what vertices `moving` (M,) read from maps (T,K,h,w): values (M,K), confidences (M,) 0..1."""
    if len(moving) == 0:
        return
    for t in range(clip.frames):
        pixels, depth = maps.cameras.project(clip.rigid_vertices[t, moving], t)
        both = np.concatenate([layers[t], maps.depths[t][None]])
        read, confidence = _sample(both, maps.coverage[t, 0] * (maps.depths[t] > 0), pixels)
        hidden = np.maximum(depth - read[:, -1], 0)
        yield read[:, :-1], confidence * np.exp(-((hidden / OCCLUSION_SCALE) ** 2))


def _neighbour_mean(clip: CoarseClip, moving: np.ndarray) -> csr_array:
    """Sparse (M,M): mean over a moving vertex's neighbours on the mesh (those that cannot move count as 0)."""
    edges = edges_of(clip.avatar.binding.faces.numpy())
    both = np.concatenate([edges, edges[:, ::-1]])
    count = np.bincount(both[:, 0], minlength=len(clip.freedom))
    index = np.full(len(clip.freedom), -1)
    index[moving] = np.arange(len(moving))
    inside = (index[both] >= 0).all(1)
    rows, columns = index[both[inside]].T
    weights = (1.0 / count[both[inside, 0]]).astype(np.float32)
    return coo_array((weights, (rows, columns)), shape=(len(moving), len(moving))).tocsr()


def _sample(layers: np.ndarray, coverage: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear values (P,K) of layers (K,h,w) at pixels (P,2), cells weighted by coverage; and the coverage there."""
    rows, columns = coverage.shape
    x = np.clip(pixels[:, 0] - 0.5, 0, columns - 1.001)
    y = np.clip(pixels[:, 1] - 0.5, 0, rows - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = x - x0, y - y0
    total = np.zeros(len(pixels), np.float32)
    value = np.zeros((len(pixels), len(layers)), np.float32)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            weight = (wx * wy * coverage[y0 + dy, x0 + dx]).astype(np.float32)
            total += weight
            value += weight[:, None] * layers[:, y0 + dy, x0 + dx].T
    return value / np.maximum(total, 1e-6)[:, None], np.clip(total, 0, 1)
