"""From displacement maps back to the mesh: what the map says of seen cloth, spread over the unseen."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from ..motion.binding import edges_of
from .clip import CoarseClip
from .feature_maps import SurfaceMaps, cloth_depths

FADE = 0.07  # metres behind the visible cloth at which the map's word counts for exp(-1)
SPREAD_ROUNDS = 24
STIFFNESS = 0.35  # how much a vertex listens to its neighbours rather than to the map


def lift_offsets(clip: CoarseClip, maps: SurfaceMaps, offsets: np.ndarray) -> np.ndarray:
    """World offsets (T,V,3) of mesh vertices from maps (T,3,h,w) in the levelled camera frame, metres.

    A vertex reads the map at the pixel where the rigid layer has it, the more faintly the further it lies behind the
    cloth seen there; neighbours on the mesh share what they read. Pinned vertices, body and face get exactly 0.
    """
    moving = np.flatnonzero(clip.freedom > 0)
    lifted = np.zeros(clip.vertices.shape, np.float32)
    if len(moving) == 0:
        return lifted
    depths = cloth_depths(clip, maps)
    mean = _neighbour_mean(clip, moving)
    freedom = clip.freedom[moving][:, None]
    for t in range(clip.frames):
        points = clip.rigid_vertices[t, moving]
        pixels, depth = maps.cameras.project(points, t)
        layers = np.concatenate([offsets[t], depths[t][None]])
        read, trust = _sample(layers, maps.coverage[t, 0] * (depths[t] > 0), pixels)
        hidden = np.maximum(depth - read[:, 3], 0)
        trust = (trust * np.exp(-((hidden / FADE) ** 2)))[:, None]
        target = read[:, :3] @ maps.axes[t]
        value = trust * target
        for _ in range(SPREAD_ROUNDS):
            value = freedom * (trust * target + STIFFNESS * (mean @ value)) / (trust + STIFFNESS)
        lifted[t, moving] = value
    return lifted


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
