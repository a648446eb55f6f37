"""What a displacement may do to cloth: not stretch it, not push it into the body, not through other cloth."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ani3d_formats.regions import GARMENT, is_loose

from ..clip import CoarseClip
from ..mesh.kernels import limit_edges
from ..mesh.surface import MIN_CLEARANCE, Obstacle, wanted_heights
from ..mesh.topology import edges_of
from ..side_by_side import for_frames
from .constraints import sound_faces
from .contact.candidates import Cover
from .contact.touch import Layers, Lists, cover_of, empty_lists, go_between

ROUNDS = 12
FREE_STRETCH = 1.06  # an edge may be this much longer than at rest
MAX_RIGID_STRETCH = 1.15  # or as long as the rigid layer has it, but no longer than this; skinning stretches hems
MAX_STRETCH = 1.25  # nor may staying out of the body make it longer than this
MIN_STRETCH = 0.75  # nor shorter than this share of rest, or of the coarse layer
SMOOTHING = 0.7  # frames (sigma) over which what the limits did is evened out: each frame is limited by itself
APART = 0.003  # metres between cloth and cloth from which on it is looked at whether they pass each other
AT_ONCE = 4  # frames worked on beside each other
STEP = 0.03  # metres that cloth is moved before it is held against the body again


def limit_offsets(clip: CoarseClip, offsets: np.ndarray) -> np.ndarray:
    """Offsets (T,V,3) metres made admissible: edges keep their length within bounds, nothing enters the body.

    No garment passes through itself or another that it does not cross in the coarse layer already.

    Vertices without freedom stay exactly where the coarse layer has them. A coarse layer of its own may have stretched
    its edges as it likes; those of a rigid one are brought back.
    """
    freedom = clip.freedom
    faces = clip.avatar.binding.faces.numpy()
    moving = np.flatnonzero(freedom > 0)
    if len(moving) == 0:
        return np.zeros_like(offsets)
    edges = edges_of(faces[(freedom[faces] > 0).any(1)])
    rest = np.linalg.norm(clip.bind_vertices[edges[:, 0]] - clip.bind_vertices[edges[:, 1]], axis=1).astype(np.float32)
    body_faces = faces[~is_loose(clip.vertex_regions[faces]).any(1)]
    obstacle = Obstacle.of_faces(clip.vertices, body_faces)
    is_rigid = np.array_equal(clip.vertices, clip.rigid_vertices)
    wanted_offsets = offsets[:, moving].astype(np.float32)
    limited = np.zeros_like(wanted_offsets)
    share = np.minimum(1, 4 * freedom[moving])[:, None]  # pushed gently where nearly pinned
    last = np.empty((clip.frames, len(edges)), np.float32)

    def bounded(t: int) -> None:
        coarse = clip.vertices[t]
        now = np.linalg.norm(coarse[edges[:, 0]] - coarse[edges[:, 1]], axis=1)
        shortest = np.minimum(MIN_STRETCH * rest, now)
        longest = np.maximum(FREE_STRETCH * rest, np.minimum(now, MAX_RIGID_STRETCH * rest) if is_rigid else now)
        last[t] = np.maximum(longest, MAX_STRETCH * rest)
        body = obstacle.at(t) if obstacle else None
        if body:
            wanted = wanted_heights(body.heights(coarse[moving])[0])
        strides = int(np.ceil(np.linalg.norm(wanted_offsets[t], axis=1).max() / STEP))
        x = coarse.astype(np.float32)
        for _ in range(strides):
            x[moving] += wanted_offsets[t] / strides
            limit_edges(x, freedom, edges, shortest, longest, ROUNDS)
            if body:
                x[moving] += share * body.pushes(x[moving], wanted)
        limited[t] = x[moving] - coarse[moving]

    for_frames(bounded, clip.frames, AT_ONCE)
    limited = gaussian_filter1d(limited, SMOOTHING, axis=0, mode="nearest")
    garment = (clip.vertex_regions[faces] == GARMENT).all(1) & (freedom[faces] > 0).any(1)
    cover = _cover(faces[garment], clip.bind_vertices, freedom)
    spare: list[Lists] = []

    def held(t: int) -> None:
        """Smoothing may bring a vertex back into the body, and the body may push one end of an edge only."""
        if not limited[t].any():
            return
        coarse = clip.vertices[t]
        x = coarse.astype(np.float32)
        x[moving] += limited[t]
        if obstacle:
            x[moving] += share * obstacle.at(t).pushes(x[moving], MIN_CLEARANCE)
        limit_edges(x, freedom, edges, np.zeros_like(rest), last[t], ROUNDS)
        if garment.any():
            lists = spare.pop() if spare else empty_lists(cover)  # a frame leaves nothing in them that the next needs
            spare.append(go_between(coarse.astype(np.float32), x, cover, lists))
        limited[t] = x[moving] - coarse[moving]

    for_frames(held, clip.frames, AT_ONCE)
    result = np.zeros_like(clip.vertices, np.float32)
    result[:, moving] = limited
    return result


def _cover(faces: np.ndarray, rest: np.ndarray, freedom: np.ndarray) -> Cover:
    """Garments (F,3) of V vertices that are not to cross; each moves in proportion to its `freedom` (V,)."""
    count = len(rest)
    layers = Layers(sound_faces(faces), np.full(count, APART / 2), np.zeros(count), np.zeros(count, np.float32))
    return cover_of(layers, rest, freedom.astype(np.float32))
