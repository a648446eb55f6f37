"""A Gaussian avatar from the rigged, textured mesh itself: surface samples, flat and well spread."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import FACE, GARMENT, HAIR
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import ObjectRange

from ..mesh.corner_normals import CornerNormals
from ..mesh.topology import neighbours_of
from .avatar import Avatar
from .binding import SurfaceBinding
from .folds import bends_of
from .sampling import random_points, spread_samples
from .strand_gaussians import shares_of, strand_objects, strand_samples
from .stretching import shapes_of
from .surface_colors import (
    CLEAR,
    Surface,
    cutouts_of,
    has_holes,
    surface_colors,
    surface_gloss,
    surface_of,
    surface_tones,
)

OPACITY = 0.99
FLATNESS = 0.03  # thickness over width of a surface Gaussian; thicker ones widen the outline
SHARE_POINTS = 20_000  # that tell how much of a region is clear
OVERLAP = 0.68  # standard deviation over the mean spacing of samples: closed surface, crisp texture


def avatar_from_shot(
    shot: Shot, count: int, detail: dict[int, float] | None = None, seed: int = 0, density: np.ndarray | None = None
) -> Avatar:
    """Sample `count` Gaussians over the character's mesh in bind pose.

    Args:
        shot: mesh, UVs, materials, textures, weights and regions.
        count: number of Gaussians, at least 100; the avatar has as many within 3 %.
        detail: sampling density by region id relative to the body, e.g. ``{FACE: 4.0}`` for a finer face.
        seed: of the sampling; the same seed gives the same avatar.
        density: (F,) how many times denser than its region each face is sampled, above 0; None for 1. Strands of hair
            keep their own.

    Returns:
        An avatar whose Gaussians lie in the surface, third axis along the normal, sized to their spacing. Where a
        texture is clear there are none. Those of hair strands lie along them, first axis from root to tip.

    Raises:
        Ani3DError: ``avatar.too_few``; ``avatar.no_surface`` where nothing of the meshes could be seen.
    """
    if count < 100:
        raise Ani3DError("avatar.too_few", f"{count} Gaussians cannot cover a character.", "Ask for at least 100.")
    rng = np.random.default_rng(seed)
    faces, vertices = shot["faces"], shot["vertices"]
    corners = vertices[faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    wanted_area = area if density is None else area * density
    face_regions = _face_regions(shot["region_ids"][faces])
    holes, surface = has_holes(shot), surface_of(shot)
    hair = strand_objects(shot)
    solid = _solid(faces, hair)
    weighted = {}
    for region in np.unique(face_regions[solid]):
        own = np.flatnonzero(solid & (face_regions == region))
        seen = _visible_share(surface, own, area[own], rng) if holes else 1.0
        weighted[int(region)] = wanted_area[own].sum() * seen * (detail or {}).get(int(region), 1.0)
    weights = [float(area[own].sum()) * (detail or {}).get(HAIR, 1.0) for _, own in hair]
    if not sum(weighted.values()) + sum(weights) > 0:
        raise Ani3DError(
            "avatar.no_surface",
            "Nothing of the character can be seen: its faces have no area, or its materials are wholly transparent.",
            "Check the meshes and the alpha of their materials, then export again.",
        )
    parts = []
    for (item, own), share in zip(hair, shares_of(weights, sum(weighted.values())), strict=True):
        parts.append(strand_samples(shot, item, own, round(count * share)))
    left = count - sum(len(triangles) for triangles, *_ in parts)
    for region, share in weighted.items():
        own = np.flatnonzero(solid & (face_regions == region))
        wanted = round(left * share / sum(weighted.values()))
        if wanted and share > 0:
            visible = partial(_visible, surface, own) if holes else None
            dense = None if density is None else density[own]
            triangles, barycentrics, spacing = spread_samples(corners[own], wanted, rng, visible, dense)
            width = (OVERLAP * spacing).astype(np.float32)
            parts.append((own[triangles], barycentrics, np.stack([width, width, FLATNESS * width], axis=1)))
    triangle_ids, barycentrics, scales = (np.concatenate(p) for p in zip(*parts, strict=True))
    binding = SurfaceBinding(
        torch.from_numpy(faces.astype(np.int64)),
        torch.from_numpy(triangle_ids),
        torch.from_numpy(barycentrics),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(len(scales), 1),
        rest_shapes=rest_shapes(shot, vertices),
        rest_bends=rest_bends(shot, vertices),
    )
    albedo, alpha = surface_colors(surface, triangle_ids, barycentrics)
    avatar = Avatar(binding, scales, _opacities(alpha), albedo, face_regions[triangle_ids])
    return with_surface_of(shot, avatar)


def with_surface_of(shot: Shot, avatar: Avatar) -> Avatar:
    """Gaussians bound to a shot's mesh that answer light as it does: its gloss, toon shading, normals and holes."""
    triangle_ids, barycentrics = avatar.binding.triangle_ids.numpy(), avatar.binding.barycentrics.numpy()
    normals = shot.arrays.get("corner_normals")
    return replace(
        avatar,
        gloss=surface_gloss(shot, triangle_ids, barycentrics),
        tones=surface_tones(shot, triangle_ids),
        corners=None if normals is None else CornerNormals.at_rest(shot["vertices"], shot["faces"], normals),
        cutouts=cutouts_of(shot),
    )


def rest_shapes(shot: Shot, vertices: np.ndarray) -> torch.Tensor:
    """(F,3) as a binding has them of the shot's mesh on `vertices` (V,3), zeros for hair strands: they keep their
    thickness."""
    faces = shot["faces"]
    solid = torch.from_numpy(_solid(faces, strand_objects(shot)))
    points = torch.from_numpy(np.array(vertices, np.float32))
    return shapes_of(points, torch.from_numpy(faces.astype(np.int64))) * solid[:, None]


def rest_bends(shot: Shot, vertices: np.ndarray) -> torch.Tensor:
    """(F,3) as a binding has them of the shot's mesh on `vertices` (V,3)."""
    faces, points = shot["faces"].astype(np.int64), torch.from_numpy(np.array(vertices, np.float32))
    return bends_of(points, torch.from_numpy(faces), torch.from_numpy(neighbours_of(faces)))


def _solid(faces: np.ndarray, hair: list[tuple[ObjectRange, np.ndarray]]) -> np.ndarray:
    """(F,) bool, the faces that are none of strands of hair."""
    solid = np.ones(len(faces), bool)
    for _, own in hair:
        solid[own] = False
    return solid


def _visible(surface: Surface, own: np.ndarray, triangles: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
    """(N,) bool: the points, on `own` triangles of a mesh, that are not clear."""
    return surface_colors(surface, own[triangles], barycentrics)[1] >= CLEAR


def _visible_share(surface: Surface, own: np.ndarray, area: np.ndarray, rng: np.random.Generator) -> float:
    """The part of the triangles' area that is not clear, from random points."""
    if not area.sum() > 0:
        return 0.0
    triangles, barycentrics = random_points(area, SHARE_POINTS, rng)
    return float(_visible(surface, own, triangles, barycentrics).mean())


def _opacities(alpha: np.ndarray) -> np.ndarray:
    """(N,) of single Gaussians, that together make a surface of opacity `alpha`: several lie over each point."""
    lying_over = 2 * np.pi * OVERLAP**2
    return np.minimum(OPACITY, -np.log1p(-np.minimum(alpha, 0.999)) / lying_over).astype(np.float32)


def _face_regions(corner_regions: np.ndarray) -> np.ndarray:
    """Region of each face: the one two corners agree on, else the first corner's."""
    a, b, c = corner_regions.T
    return np.where(b == c, b, a)


DETAIL = {FACE: 6.0, HAIR: 1.5, GARMENT: 2.2}  # faces are looked at, fabric carries the pattern
