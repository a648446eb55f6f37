"""A Gaussian avatar from Gaussians of others: each bound to the triangle of a proxy mesh that it belongs to.

The proxy stands in the pose that the Gaussians were made in. Where two parts of the mesh are equally near, as in an
armpit, the flat side of a Gaussian, and then its neighbours, decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..mesh.quaternions import matrix_to_quat, quat_multiply
from ..mesh.topology import triangle_frames
from ..splats.harmonics import matrices, rotated
from ..splats.splats import Splats
from .avatar import Avatar
from .binding import SurfaceBinding
from .sampling import random_points

PROBES = 200_000  # points on the mesh that candidates are found by
CANDIDATES = 12  # of them near each Gaussian
TILT = 0.012  # of the character's height that a wrong side counts as being away
REACH = 0.12  # of the height; Gaussians further away belong to nothing
NEIGHBOURS = 12
AGREEING = 0.75  # share of neighbours on one part of the body that brings a Gaussian over
CLOSE = 0.005  # of the height, that another part may be further away for this
ISLAND = 0.02  # of the height; groups of Gaussians further than this from all others are on their own
ISLAND_SHARE = 0.002  # of all, that a group on its own needs
FAINT = 1 / 255  # opacity that nobody sees
CHUNK = 1 << 16  # Gaussians whose candidates are weighed at a time, which bounds memory


@dataclass(frozen=True)
class Bound:
    """Gaussians on a mesh.

    Attributes:
        avatar: the M that were kept.
        kept: (N,) bool.
        distances: (M,) metres from the mesh.
        uncertain: (M,) bool, where another part of the body is as near.
        notes: counts and distances for people.
    """

    avatar: Avatar
    kept: np.ndarray
    distances: np.ndarray
    uncertain: np.ndarray
    notes: dict[str, float]


def bind_splats(
    splats: Splats,
    vertices: np.ndarray,
    faces: np.ndarray,
    vertex_regions: np.ndarray,
    vertex_parts: np.ndarray,
    is_lit: bool = True,
    progress: Progress | None = None,
) -> Bound:
    """Bind N Gaussians to a mesh in the same pose and axes.

    Args:
        splats: in Blender's axes, metres.
        vertices: (V,3); faces: (F,3) of the proxy.
        vertex_regions: (V,) indices into `ani3d_formats.regions.REGIONS`, for the avatar's labels.
        vertex_parts: (V,) a number for the part of the body, such as the bone of the largest weight.
        is_lit: see `Avatar`.
        progress: advanced by `binding_steps`.

    Returns:
        The avatar. Faint Gaussians, small groups that float on their own, and those out of reach are left out.

    Raises:
        Ani3DError: ``avatar.empty`` for no Gaussians; ``avatar.far`` where fewer than half of them are near the mesh:
            other axes, size or pose.
        Cancelled: between chunks.
    """
    check_some(splats)
    progress = progress or Progress("bind", binding_steps(splats.count))
    height = float(np.ptp(vertices, axis=0).max())
    corners = vertices[faces].astype(np.float64)
    regions, parts = (_of_faces(values, faces) for values in (vertex_regions, vertex_parts))
    candidates, places, costs = _candidates(splats, corners, TILT * height, progress)
    chosen = costs.argmin(1)
    pick = np.arange(splats.count), chosen
    distances = np.linalg.norm(splats.means - places[pick], axis=1)
    groups = parts * (1 + regions.max()) + regions
    chosen, uncertain = _agreed(splats.means, groups[candidates], costs, CLOSE * height)
    progress.advance(message="neighbours")
    near = distances <= REACH * height
    if near.mean() < 0.5:
        raise Ani3DError(
            "avatar.far",
            f"Only {near.mean():.0%} of the Gaussians are within {REACH * height:.2f} m of the character's mesh.",
            "Choose the file's axes (--axes), the frame whose pose they stand in (--frame), and one size and place.",
        )
    island = _on_their_own(splats.means, ISLAND * height)
    faint = splats.opacities < FAINT
    kept = near & ~island & ~faint
    pick = np.arange(splats.count)[kept], chosen[kept]
    avatar = _avatar(splats.chosen(kept), vertices, faces, candidates[pick], places[pick], regions, is_lit)
    found = np.linalg.norm(splats.means[kept] - places[pick], axis=1)
    progress.advance(message="turns")
    notes = {
        "gaussians": int(kept.sum()),
        "too far": int((~near).sum()),
        "floating": int((island & near).sum()),
        "faint": int((faint & near & ~island).sum()),
        "median distance, mm": round(1000 * float(np.median(found)), 2),
        "95 % within, mm": round(1000 * float(np.percentile(found, 95)), 2),
        "uncertain": round(float(uncertain[kept].mean()), 4),
    }
    return Bound(avatar, kept, found, uncertain[kept], notes)


def check_some(splats: Splats) -> None:
    """Raise ``avatar.empty`` where there are no Gaussians."""
    if not splats.count:
        raise Ani3DError("avatar.empty", "The file holds no Gaussians.", "Export the person again.")


def binding_steps(count: int) -> int:
    """How often `bind_splats` advances the progress for `count` Gaussians."""
    return -(-count // CHUNK) + 2


def _of_faces(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) what two of a face's corners have, else the first of them."""
    a, b, c = values[faces].T
    return np.where(b == c, b, a).astype(np.int64)


def _candidates(
    splats: Splats, corners: np.ndarray, tilt: float, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles near each Gaussian (N,C), their nearest points (N,C,3) and costs in metres (N,C)."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1) / 2
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    triangles, shares = random_points(np.maximum(areas, 1e-12), PROBES, np.random.default_rng(0))
    probes = np.concatenate([(corners[triangles] * shares[:, :, None]).sum(1), corners.mean(1)])
    owners = np.concatenate([triangles, np.arange(len(corners))])
    tree = cKDTree(probes)
    found = []
    for start in range(0, splats.count, CHUNK):
        own = splats.chosen(np.arange(start, min(start + CHUNK, splats.count)))
        near = owners[tree.query(own.means, k=CANDIDATES, workers=-1)[1]]
        places = nearest_on_triangles(own.means[:, None], corners[near])
        away = np.linalg.norm(own.means[:, None] - places, axis=2)
        order = np.sort(own.scales, axis=1)
        flat = 1 - order[:, 0] / np.maximum(order[:, 1], 1e-12)  # 1 for a disk, 0 for a ball or a needle
        across = np.abs((normals[near] * _short_axes(own)[:, None]).sum(2))
        found.append((near, places, away + tilt * flat[:, None] * (1 - across)))
        progress.advance(message="triangles")
    near, places, costs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return near, places, costs


def _short_axes(splats: Splats) -> np.ndarray:
    """(N,3) unit vectors along the smallest of each Gaussian's sizes."""
    w, *xyz = (splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)).T.astype(np.float64)
    q = np.stack(xyz, 1)
    e = np.eye(3)[splats.scales.argmin(1)]
    t = 2 * np.cross(q, e)
    return np.asarray(e + w[:, None] * t + np.cross(q, t))


def nearest_on_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The nearest points (...,3) of triangles (...,3,3) to `points` (...,3) (Ericson 2005, 5.1.5, by regions)."""
    a, b, c = (corners[..., k, :] for k in range(3))
    ab, ac, ap = b - a, c - a, points - a

    def dot(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (u * v).sum(-1)

    d1, d2, d00, d01, d11 = dot(ab, ap), dot(ac, ap), dot(ab, ab), dot(ab, ac), dot(ac, ac)
    det = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d1 - d01 * d2) / det, (d00 * d2 - d01 * d1) / det
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    best = a + v[..., None] * ab + w[..., None] * ac
    least = np.where(inside, 0, np.inf)
    for start, along in ((a, ab), (a, ac), (b, c - b)):
        share = np.clip(dot(points - start, along) / np.maximum(dot(along, along), 1e-30), 0, 1)
        place = start + share[..., None] * along
        away = np.where(inside, np.inf, dot(points - place, points - place))
        best = np.where((away < least)[..., None], place, best)
        least = np.minimum(least, away)
    return best


def _agreed(means: np.ndarray, groups: np.ndarray, costs: np.ndarray, close: float) -> tuple[np.ndarray, np.ndarray]:
    """The candidate of each Gaussian (N,) once its neighbours had a say, and where it is uncertain (N,).

    Args:
        groups: (N,C) number of the part that each candidate belongs to; costs: (N,C) metres.
        close: metres that a candidate may cost more and still be taken.
    """
    chosen = costs.argmin(1)
    own = np.take_along_axis(groups, chosen[:, None], 1)
    near = cKDTree(means).query(means, k=min(NEIGHBOURS, len(means)), workers=-1)[1].reshape(len(means), -1)
    around = own[near, 0]
    votes = (groups[:, :, None] == around[:, None, :]).mean(2)  # (N,C) share of neighbours on each candidate's part
    allowed = costs <= costs.min(1, keepdims=True) + close
    wanted = allowed & (votes >= AGREEING) & (groups != own)
    moved = wanted.any(1)
    chosen[moved] = np.where(wanted, costs, np.inf).argmin(1)[moved]
    return chosen, (allowed & (groups != own)).any(1)


def _on_their_own(means: np.ndarray, gap: float) -> np.ndarray:
    """(N,) bool: members of groups with less than `ISLAND_SHARE` of all that lie `gap` metres from all others."""
    cells, of_cell = np.unique(np.floor(means / gap).astype(np.int64), axis=0, return_inverse=True)
    pairs = cKDTree(cells).query_pairs(1.8, output_type="ndarray")  # cells that touch, also at edges and corners
    joined = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(cells), len(cells)))
    group = connected_components(joined, False)[1][of_cell.reshape(-1)]
    return np.bincount(group)[group] < ISLAND_SHARE * len(means)


def _avatar(
    splats: Splats,
    vertices: np.ndarray,
    faces: np.ndarray,
    triangles: np.ndarray,
    places: np.ndarray,
    regions: np.ndarray,
    is_lit: bool,
) -> Avatar:
    frames = triangle_frames(torch.from_numpy(vertices.astype(np.float64)), torch.from_numpy(faces.astype(np.int64)))
    own = frames[torch.from_numpy(triangles)]
    turns = matrix_to_quat(own) * torch.tensor([1.0, -1, -1, -1])  # the inverse of a unit quaternion
    quats = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    local = quat_multiply(turns, torch.from_numpy(quats.astype(np.float64)))
    offsets = own.transpose(1, 2) @ torch.from_numpy(splats.means - places)[:, :, None]
    binding = SurfaceBinding(
        torch.from_numpy(faces.astype(np.int64)),
        torch.from_numpy(triangles.astype(np.int64)),
        torch.from_numpy(_shares(places, vertices[faces[triangles]].astype(np.float64))),
        local.float(),
        offsets.squeeze(-1).float(),
    )
    albedo = srgb_to_linear(np.clip(splats.colors, 0, 1)).astype(np.float32)
    scales, opacities = (np.ascontiguousarray(each, np.float32) for each in (splats.scales, splats.opacities))
    by_view = is_lit and splats.degree > 0
    harmonics = rotated(splats.sh, matrices(quats).transpose(0, 2, 1)).astype(np.float32) if by_view else None
    return Avatar(binding, scales, opacities, albedo, regions[triangles], None, is_lit, harmonics=harmonics)


def _shares(places: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (M,3) float32 of points of triangles (M,3,3)."""
    a, b, c = corners.transpose(1, 0, 2)
    ab, ac, ap = b - a, c - a, places - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d1, d2 = (ab * ap).sum(1), (ac * ap).sum(1)
    det = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = np.clip((d11 * d1 - d01 * d2) / det, 0, 1), np.clip((d00 * d2 - d01 * d1) / det, 0, 1)
    w = np.minimum(w, 1 - v)
    return np.stack([1 - v - w, v, w], axis=1).astype(np.float32)
