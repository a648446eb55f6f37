"""A mesh around a person of Gaussians, with weights from bones alone: a proxy where nobody has one.

The Gaussians fill cells of a grid, whose surface is the mesh. Each vertex is warmed by the nearest bone that it sees
through the filled inside, the more the nearer, and heat spreads over the surface until it rests ("Automatic rigging and
animation of 3D characters", Baran and Popovic 2007): weights are smooth, and no arm takes hold of a hip beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..mesh.surface_nets import surface_net
from ..mesh.topology import edges_of
from ..splats.harmonics import matrices
from ..splats.splats import Splats
from .from_splats import check_some

REACH = 0.35  # of the character's height; Gaussians further from all bones are none of it
FEWEST = 100  # Gaussians that make a person
SEEN = 0.1  # opacity from which on a Gaussian is part of the person
FINEST, COARSEST = 1 / 150, 1 / 80  # of the height: a cell's edge
PER_CELL = 2.0  # cells are as many times as wide as Gaussians are apart
AROUND = 5  # cells along the side of a cube whose majority says whether its middle is inside
SMALLEST = 0.002  # of all filled cells that a part on its own needs
NEAREST = 6  # bones of a vertex that may hold it
SIGHT = 16  # places between a vertex and a bone that are looked at
BLIND = 0.02  # warmth of a bone that a vertex does not see
CLOSE = 1.25  # another limb is in doubt up to so many times the distance of the nearest bone
FADED = 0.01  # weights below are left out
STEPS = 4  # of progress


@dataclass(frozen=True)
class Skeleton:
    """B bones from heads to tails (B,3), metres, in the pose of the Gaussians; parents (B,), -1 for none."""

    heads: np.ndarray
    tails: np.ndarray
    parents: np.ndarray

    def in_line(self) -> np.ndarray:
        """(B,B) bool: of one limb, the same bone or one that hangs on the other."""
        count = len(self.parents)
        above = np.eye(count, dtype=bool)
        for bone in range(count):
            over = int(self.parents[bone])
            while over >= 0 and not above[bone, over]:
                above[bone, over] = True
                over = int(self.parents[over])
        return above | above.T

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """(N,B,3) the place on each bone that is nearest to each of `points` (N,3)."""
        along = self.tails - self.heads
        length = np.maximum((along * along).sum(1), 1e-12)
        share = np.einsum("nbk,bk->nb", points[:, None] - self.heads, along) / length
        return np.asarray(self.heads + np.clip(share, 0, 1)[..., None] * along)


@dataclass(frozen=True)
class Proxy:
    """A mesh with weights that were guessed.

    Attributes:
        vertices: (V,3) metres; faces: (F,3).
        weights: (V,B), rows sum to 1.
        doubtful: (V,) bool, where a bone of another limb is about as near.
        unseen: (V,) bool, where no bone is seen, as on a skirt: what is around decides.
        colors: (V,3) sRGB of the Gaussians there.
    """

    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    doubtful: np.ndarray
    unseen: np.ndarray
    colors: np.ndarray


def proxy_of(splats: Splats, skeleton: Skeleton, progress: Progress | None = None) -> Proxy:
    """The mesh around Gaussians that stand in the skeleton's pose, and what of it each bone moves.

    Args:
        progress: advanced by `STEPS`.

    Raises:
        Ani3DError: ``avatar.empty``; ``avatar.far`` where fewer than half of the Gaussians are near any bone;
            ``avatar.too_few`` where next to none can be seen.
        Cancelled: between steps.
    """
    check_some(splats)
    progress = progress or Progress("mesh", STEPS)
    ends = np.concatenate([skeleton.heads, skeleton.tails])
    height = float(np.ptp(ends, axis=0).max())
    tree = cKDTree(_along(skeleton))
    near = tree.query(splats.means, workers=-1)[0] <= REACH * height
    own = splats.chosen(near & (splats.opacities >= SEEN))
    if near.mean() < 0.5:
        raise Ani3DError(
            "avatar.far",
            f"Only {near.mean():.0%} of the Gaussians are within {REACH * height:.2f} m of the skeleton.",
            "Choose the file's axes (--axes), the frame whose pose they stand in (--frame), and one size and place.",
        )
    if own.count < FEWEST:
        what = f"Only {own.count:,} of {splats.count:,} Gaussians can be seen: too few for a mesh around them."
        raise Ani3DError("avatar.too_few", what, "Export the person again, with their opacities.")
    solid, low, cell = _filled(own, height)
    progress.advance(message="inside")
    field = ndimage.gaussian_filter(solid.astype(np.float32), 1.0)
    net, faces = surface_net(field, 0.5)
    vertices = low + cell * net
    progress.advance(message="surface")
    places = skeleton.nearest(vertices)
    distances = np.linalg.norm(vertices[:, None] - places, axis=2)
    seen = _seen(vertices, places, distances, solid, low, cell)
    progress.advance(message="sight")
    weights, doubtful = _weights(vertices, faces, distances, seen, skeleton.in_line())
    progress.advance(message="weights")
    colors = own.colors[cKDTree(own.means).query(vertices, workers=-1)[1]]
    return Proxy(vertices, faces, weights, doubtful, np.asarray(~seen.any(1)), np.clip(colors, 0, 1))


def _along(skeleton: Skeleton) -> np.ndarray:
    """Places along all bones, close together."""
    share = np.linspace(0, 1, 9)[:, None, None]
    return (skeleton.heads + share * (skeleton.tails - skeleton.heads)).reshape(-1, 3)


def _filled(splats: Splats, height: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The grid's cells that are within the person, its corner (3,) and the edge of a cell, metres."""
    means = splats.means.astype(np.float64)
    apart = cKDTree(means).query(means[:: max(1, len(means) // 10_000)], k=2, workers=-1)[0][:, 1]
    cell = float(np.clip(PER_CELL * np.median(apart), FINEST * height, COARSEST * height))
    reach = np.minimum(splats.scales, COARSEST * height)
    axes = matrices(splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)) * reach[:, None]
    low = means.min(0) - COARSEST * height - 5 * cell
    count = np.ceil((means.max(0) + COARSEST * height - low) / cell).astype(int) + 6
    solid = np.zeros(count, bool)
    for step in product((-1, 0, 1), repeat=3):  # a Gaussian covers what is a standard deviation away
        solid[tuple(((means + axes @ np.array(step) - low) / cell).astype(int).T)] = True
    solid = _enclosed(ndimage.binary_closing(solid, iterations=2))
    part, number = ndimage.label(solid, np.ones((3, 3, 3)))
    sizes = np.bincount(part.ravel(), minlength=number + 1)
    large = sizes >= SMALLEST * solid.sum()
    large[0] = False
    return large[part], low + 0.5 * cell, cell


def _enclosed(shell: np.ndarray) -> np.ndarray:
    """A shell and what is within it.

    A shell has gaps, so a cell counts where slices along at least two axes close around it, and then the majority of
    the cells around each; what that closes in on all sides is filled.
    """
    votes = np.zeros(shell.shape, np.int8)
    for axis in range(3):
        for k in range(shell.shape[axis]):
            cut = (slice(None),) * axis + (k,)
            votes[cut] += ndimage.binary_fill_holes(shell[cut])
    within = (shell | (votes >= 2)).astype(np.float32)
    thick = shell | (ndimage.uniform_filter(within, AROUND) > 0.5)
    return np.asarray(ndimage.binary_fill_holes(thick))


def _seen(
    vertices: np.ndarray, places: np.ndarray, distances: np.ndarray, solid: np.ndarray, low: np.ndarray, cell: float
) -> np.ndarray:
    """(V,B) which of its nearest bones each vertex sees through the inside alone."""
    found = np.zeros(distances.shape, bool)
    nearest = np.argsort(distances, axis=1)[:, :NEAREST]
    rows = np.arange(len(vertices))
    for k in range(nearest.shape[1]):
        bone = nearest[:, k]
        place, clear = places[rows, bone], np.ones(len(vertices), bool)
        for share in np.linspace(0, 1, SIGHT + 2)[1:-1]:
            point = vertices + share * (place - vertices)
            at = np.rint((point - low) / cell).astype(int)
            inside = ((at >= 0) & (at < solid.shape)).all(1)
            at[~inside] = 0
            near_skin = share * distances[rows, bone] < 1.5 * cell  # the vertex is on the skin itself
            clear &= near_skin | (inside & solid[tuple(at.T)])
        found[rows, bone] = clear
    return found


def _weights(
    vertices: np.ndarray, faces: np.ndarray, distances: np.ndarray, seen: np.ndarray, in_line: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (V,B) of heat at rest, and where they are in doubt (V,)."""
    edges = edges_of(faces)
    ones = np.ones(len(edges))
    joined = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(len(vertices),) * 2)
    joined = (joined + joined.T).tocsr()
    degrees = np.asarray(joined.sum(1)).ravel()
    apart = float(np.median(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)))
    spread = (diags_array(degrees) - joined) * (4 / (6 * apart**2))
    sighted = np.where(seen, distances, np.inf)
    lost = ~seen.any(1)
    sighted[lost] = distances[lost]
    first = sighted.argmin(1)
    least = np.maximum(sighted.min(1), apart)
    warmth = np.where(lost, BLIND, 1.0) / least**2
    wanted = np.eye(distances.shape[1])[first]
    solved = splu((spread + diags_array(warmth)).tocsc()).solve(warmth[:, None] * wanted)
    weights = np.where(solved < FADED, 0, solved)
    close = (sighted <= CLOSE * least[:, None]) & ~in_line[first]
    return weights / weights.sum(1, keepdims=True), close.any(1)
