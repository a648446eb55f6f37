"""Colours of the avatar: what its surface scatters and mirrors of the scene's light, by smooth normals, per frame."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, fields

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.regions import is_loose

from ..mesh.vectors import dots, unit
from ..rendering.gloss import Shine, matte_share
from ..rendering.light_sources import Lighting
from ..rendering.strand_light import Hung, Strands
from ..rendering.surface_lighting import Illumination, Surface, between, by_place, illuminate, steadied
from ..splats.harmonics import seen_from
from .avatar import Avatar
from .strand_gaussians import ACROSS, fibre_normals

# Linear light of a Gaussian, no more. What is brighter than white is cut in the picture: where it covers a part of a
# pixel, it counts as bright as it is.
BRIGHTEST = 16.0
COARSE = 0.95  # cosine to its smooth normal below which a face is taken by itself, or it would shade itself

_Light = tuple[Illumination, np.ndarray | float]
"""Light on the Gaussians in a frame, and the share of it that they scatter under their gloss."""


def shade(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> np.ndarray:
    """All colours (T,N,3) of `shades` at once: for a few frames."""
    return np.stack(list(shades(avatar, vertices, lighting, eyes)))


def shades(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> Iterator[np.ndarray]:
    """Display colours (N,3) float32 frame by frame, sRGB, of an avatar on mesh vertices (T,V,3).

    What is brighter than white is above 1. The avatar casts shadows on itself. `eyes` (T,3) are the camera centres:
    thin sheets (garment, hair) are lit on the side that is seen.
    """
    if avatar.is_lit:
        yield from (as_captured(avatar, frame, eye) for frame, eye in zip(vertices, eyes, strict=True))
        return
    vertices = np.ascontiguousarray(vertices, np.float32)
    own, thin = vertex_albedo(avatar, vertices.shape[1]), is_loose(avatar.region_ids)
    faces = avatar.binding.faces.numpy()
    rows = np.concatenate([np.arange(avatar.count), np.tile(avatar.fibres, len(ACROSS) - 1)])
    triangles, weights = avatar.binding.triangle_ids.numpy(), avatar.binding.barycentrics.numpy()
    strands = Strands.among(faces, vertices.shape[1], triangles[avatar.fibres])
    hung = None if strands is None else strands.of_points(triangles[rows], weights[rows], faces)
    lit = rows, by_place(avatar.per_vertex(vertices[0])[rows]), hung

    def light(t: int, around: bool) -> _Light:
        surface = Surface(vertices[t], faces, own, avatar.cutouts, strands)
        return _light(avatar, surface, lighting.at(t), eyes[t], thin, lit, around)

    lights = _every_other(light, len(vertices))
    before = now = next(lights)
    for _ in vertices:
        after = next(lights, now)
        steady = steadied(before[0], now[0], after[0])
        yield np.asarray(linear_to_srgb(avatar.albedo * now[1] * steady.total + steady.gloss, BRIGHTEST), np.float32)
        before, now = now, after


def _every_other(light: Callable[[int, bool], _Light], frames: int) -> Iterator[_Light]:
    """Light frame by frame; what comes from all around, which changes slowly, is computed in every other one and in the
    last."""
    now = light(0, True)
    yield now
    for t in range(1, frames, 2):
        if t + 1 < frames:
            middle, after = light(t, False), light(t + 1, True)
            yield between(now[0], middle[0], after[0]), middle[1]
            now = after
        else:
            now = light(t, True)
        yield now


def as_captured(avatar: Avatar, vertices: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Colours (N,3) sRGB of an avatar that keeps the light it was seen in, on vertices (V,3), for an eye (3,)."""
    if avatar.harmonics is None:
        return np.asarray(linear_to_srgb(avatar.albedo), np.float32)
    means, quats = avatar.pose(vertices[None])
    return seen_from(avatar.harmonics, means[0], quats[0], eye)


def _light(
    avatar: Avatar,
    surface: Surface,
    lighting: Lighting,
    eye: np.ndarray,
    thin: np.ndarray,
    lit: tuple[np.ndarray, np.ndarray, Hung | None],
    around: bool,
) -> _Light:
    """Light on the Gaussians in one frame, and the share of it that they scatter under their gloss.

    `thin` (N,) are lit on the side that the `eye` (3,) sees. `lit` are the Gaussians (M,), with those that are lit at
    several places once for each, an order (M,) of these, and where they lie on strands; `around` is as of `illuminate`.
    """
    normals, planes = avatar.normals(surface.vertices), avatar.planes(surface.vertices)
    points = avatar.within(surface.vertices)
    towards = unit(eye - points)
    behind = thin & (dots(normals, towards) < 0)
    sides = np.where(behind[:, None], -normals, normals)
    upright = dots(planes, sides)[:, None]
    planes = np.where(np.abs(upright) < COARSE, np.sign(upright) * planes, sides)
    # a strand is round: it is lit at several places across
    fibres, (rows, order, hung) = avatar.fibres, lit
    across = fibre_normals(_along(avatar, surface.vertices, fibres), towards[fibres])
    sides[fibres] = planes[fibres] = across[0]
    sides, planes = (np.concatenate([own, *across[1:]]) for own in (sides, planes))

    def joined(values: np.ndarray) -> np.ndarray:
        whole = values[: len(points)].copy()
        whole[fibres] = (
            whole[fibres] + values[len(points) :].reshape(len(ACROSS) - 1, *whole[fibres].shape).sum(0)
        ) / len(ACROSS)
        return whole

    tones = None if avatar.tones is None else avatar.tones[rows]
    if avatar.gloss is None:
        light = illuminate(lighting, surface, points[rows], sides, None, tones, order, around, planes=planes, hung=hung)
        return _mapped(light, joined), 1.0
    shine = Shine.of(avatar.gloss[rows], avatar.albedo[rows], towards[rows])
    mirrored = shine.mirrored(sides)
    light = illuminate(lighting, surface, points[rows], sides, shine, tones, order, around, mirrored, planes, hung)
    return _mapped(light, joined), joined(matte_share(avatar.gloss[rows], mirrored))


def _along(avatar: Avatar, vertices: np.ndarray, fibres: np.ndarray) -> np.ndarray:
    """(n,3) unit vectors along the strands of `fibres` (n,), whose triangles have their first edge there."""
    corners = vertices[avatar.binding.faces.numpy()[avatar.binding.triangle_ids.numpy()[fibres]]]
    return unit(corners[:, 1] - corners[:, 0])


def _mapped(light: Illumination, change: Callable[[np.ndarray], np.ndarray]) -> Illumination:
    return Illumination(**{part.name: change(getattr(light, part.name)) for part in fields(light)})


def key_of_shades(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> bytes:
    """A hash of all that `shades` depends on."""
    digest = hashlib.blake2b()
    binding = (avatar.binding.faces.numpy(), avatar.binding.triangle_ids.numpy(), avatar.binding.barycentrics.numpy())
    corners = () if avatar.corners is None else (avatar.corners.fans, avatar.corners.leans)
    own = (avatar.albedo, avatar.gloss, avatar.tones, avatar.region_ids, *corners, *avatar.cutouts)
    for array in (vertices, eyes, *own, *binding, *astuple(lighting)):
        values = np.zeros(0) if array is None else np.ascontiguousarray(array)
        digest.update(repr((values.dtype, values.shape)).encode())
        digest.update(values.data.cast("B") if values.size else b"")
    return digest.digest()


def vertex_albedo(avatar: Avatar, count: int) -> np.ndarray:
    """(V,3) albedo of the `count` vertices of an avatar's mesh: that of the Gaussians around, or of all of them."""
    corners = avatar.binding.faces.numpy()[avatar.binding.triangle_ids.numpy()].ravel()
    weights = avatar.binding.barycentrics.numpy().astype(np.float64)
    colors = (weights[..., None] * avatar.albedo[:, None]).reshape(-1, 3)
    sums = np.stack([np.bincount(corners, colors[:, k], minlength=count) for k in range(3)], axis=1)
    shares = np.bincount(corners, weights.ravel(), minlength=count)[:, None]
    mean = avatar.albedo.mean(0)
    return np.where(shares > 1e-3, sums / np.maximum(shares, 1e-3), mean).astype(np.float32)
