# SPDX-License-Identifier: GPL-3.0-or-later
"""How one material looks on the triangles that wear it: a colour, its own picture, or one that is baked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np

from ...sentence import said
from . import bake_meshes, graph, known_bakes
from .atlas import SMALLEST, triangle_atlas
from .bake import bake
from .dependence import Dependence, dependence_of, is_missing
from .faces import MeshFaces
from .fingerprint import UnknownContent, fingerprint
from .gloss import MATTE, gloss_of, toon_of, with_gloss
from .pictures import LARGEST, Textures, texture
from .shaders import Shown, WorkingMaterial, working_copy

User = tuple[int, MeshFaces, np.ndarray]
"""Number of a mesh, the mesh, and which of its triangles wear the material."""

LARGEST_BAKE, LEAST_BAKE = 2048, 256  # pixels along a side
_SHARP_BAKE = 1024  # where pictures with hard pixels take part
_TEXELS_ACROSS = 1000  # texels of a baked mesh along the diagonal of the whole character
_MOST_TILES = 64
_MOST_TEXELS = 1 << 26  # of all tiles of a material
_PERIODS = {"REPEAT": 1, "MIRROR": 2}  # after how many pictures an extension comes round


@dataclass(frozen=True)
class Patch:
    """Triangles, as (number of a mesh, its triangles), that look alike: `color` linear, or `texture` by `uvs`.

    `uvs`: for each entry of `faces` (n,3,2), or None for the active UV map's. `key` names a texture that others share.
    `toon`: size and smoothness of a Toon shader, zeros of any other.
    `gloss`: roughness, metallic and specular level, and by the same UVs in the red, green and blue of `gloss_texture`.
    """

    color: tuple[float, ...]
    faces: list[tuple[int, np.ndarray]]
    texture: np.ndarray | None = None
    uvs: list[np.ndarray] | None = None
    key: str = ""
    gloss: tuple[float, float, float] = MATTE
    gloss_texture: np.ndarray | None = None
    toon: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Reading:
    """What all materials are read with: the scene's render engine, the character's size in metres, known pictures."""

    engine: str
    extent: float
    textures: Textures


def patches_of(
    material: bpy.types.Material, users: Sequence[User], reading: Reading, remarks: list[str]
) -> list[Patch]:
    """How `material` looks on its users. `remarks` gets ends of sentences about what is not quite as in Blender."""
    everywhere = [(number, rows) for number, _, rows in users]
    viewport = Patch(tuple(material.diffuse_color[:3]), everywhere)
    with working_copy(material, reading.engine) as work:
        if work.shown is None:
            remarks.append("has no output node and is exported in its viewport colour")
            return [viewport]
        found = dependence_of(work.shown)
        remarks += work.remarks + found.remarks
        if any(_is_animated(tree) for tree, _ in graph.trees_of(work.material.node_tree)):
            remarks.append("changes over time and is exported as at the first frame")
        try:
            gloss, toon = gloss_of(work.surface), toon_of(work.surface)  # baking takes the surface away
            patches = (
                _plain(work.shown, users) or _picture(work.shown, users, reading) or _baked(work, users, found, reading)
            )
            return [replace(patch, toon=toon) for patch in with_gloss(work, patches, users, gloss)]
        except RuntimeError as error:
            reason = str(error).strip().removeprefix("Error: ").rstrip(".")
            remarks.append(said("cannot be baked ({reason}) and is exported in its viewport colour", reason=reason))
            return [viewport]


def _is_animated(tree: Any) -> bool:
    moving = tree.animation_data
    return moving is not None and bool(moving.action or len(moving.drivers) or len(moving.nla_tracks))


def _plain(shown: Shown, users: Sequence[User]) -> list[Patch]:
    """One colour everywhere."""
    if not isinstance(shown.color, tuple) or not isinstance(shown.alpha, float):
        return []
    return [_flat(np.array([*shown.color, shown.alpha]), users)]


def _flat(rgba: np.ndarray, users: Sequence[User]) -> Patch:
    everywhere, rgba = [(number, rows) for number, _, rows in users], np.clip(rgba, 0, 1)
    dot = texture(rgba[None, None]) if rgba[3] < 1 else None
    return Patch(tuple(rgba[:3].tolist()), everywhere, dot)


def _picture(shown: Shown, users: Sequence[User], reading: Reading) -> list[Patch]:
    """A picture as it is, with its own alpha or a constant one."""
    if isinstance(shown.color, tuple):
        return []
    output, path = graph.origin(shown.color, ())
    node = output.node
    if node.type != "TEX_IMAGE" or output.name != "Color" or node.image is None or is_missing(node.image):
        return []
    place = graph.coordinates(node, path)
    own_alpha = not isinstance(shown.alpha, float)
    if own_alpha:
        alpha, alpha_path = graph.origin(shown.alpha, ())
        other: Any = alpha.node
        same = other.type == "TEX_IMAGE" and other.image == node.image and alpha.name == "Alpha"
        if not same or graph.coordinates(other, alpha_path) != place:
            return []
    if place is None:
        return []
    uvs = [place.mapped(faces.uvs(place.uv_map)[rows]) for _, faces, rows in users]
    if node.extension != "REPEAT" and any(u.min() < 0 or u.max() > 1 for u in uvs):
        return []
    used = own_alpha or any(o.is_linked for o in node.outputs if o.name == "Alpha")
    pixels, key = reading.textures.of(node.image, used, node.interpolation == "Closest")
    if pixels is None:
        return []
    if not own_alpha and (pixels[..., 3].min() < 255 or shown.alpha < 1):
        pixels, key = pixels.copy(), f"{key} {shown.alpha}"
        pixels[..., 3] = round(255 * min(max(shown.alpha, 0), 1))
    return [Patch((1.0, 1.0, 1.0), [(number, rows) for number, _, rows in users], pixels, uvs, key)]


def _baked(work: WorkingMaterial, users: Sequence[User], found: Dependence, reading: Reading) -> list[Patch]:
    if not found.mesh and not found.uv_maps and len(found.places) <= 1:
        place = next(iter(found.places), None)
        uvs = [place.mapped(faces.uvs(place.uv_map)[rows]) if place else None for _, faces, rows in users]
        inside = all(u is None or (u.min() >= 0 and u.max() <= 1) for u in uvs)
        tiled = any(n.image and n.image.source == "TILED" for n in found.pictures)
        if not tiled and (inside or all(n.extension in _PERIODS for n in found.pictures)):
            period = 1 if inside else max((_PERIODS[n.extension] for n in found.pictures), default=1)
            return [_square(work, users, found, uvs, period)]
    patches: list[Patch] = []
    flat: dict[str, list[User]] = {}
    for user in users:
        faces = user[1]
        maps = {name or faces.uv_map for name in found.all_maps}
        if found.mesh or len(maps) != 1:
            patches.append(_on_mesh(work, user, found, reading))
        else:
            flat.setdefault(maps.pop(), []).append(user)
    for name, own in flat.items():
        patches += _rectangles(work, own, name, found)
    return patches


def _square(work: WorkingMaterial, users: Sequence[User], found: Dependence, uvs: list[Any], period: int) -> Patch:
    """All pictures are looked up at the same place: one picture of that space, up to where it repeats."""
    for node in found.pictures:
        for link in list(node.inputs["Vector"].links):
            node.id_data.links.remove(link)
    width, height = (min(max(s * period, LEAST_BAKE), LARGEST_BAKE) for s in _native(found))
    with bake_meshes.rectangle(np.array([[0, 0], [period, period]]), "", work.material) as item:
        if not any(_native(found)):  # no picture takes part: one colour
            return _flat(bake(work, _shown(work), item, bake_meshes.ATLAS, (4, 4))[0, 0], users)
        picture = _bake_once(work, item, (width, height))
    placed = [u if u is None else u / period for u in uvs]
    return Patch((1.0, 1.0, 1.0), [(number, rows) for number, _, rows in users], picture, placed)


def _rectangles(work: WorkingMaterial, users: list[User], name: str, found: Dependence) -> list[Patch]:
    """UV space is baked where the triangles lie in it, tile by tile."""
    uvs = [faces.uvs(name)[rows].astype(np.float64) for _, faces, rows in users]
    tiles = [np.floor(u.mean(axis=1)).astype(np.int64) for u in uvs]
    every = np.unique(np.concatenate(tiles), axis=0)
    if len(every) > _MOST_TILES:
        tiles, every = [np.zeros_like(t) for t in tiles], np.zeros((1, 2), np.int64)
    largest = np.sqrt(_MOST_TEXELS / len(every))
    patches = []
    for tile in every:
        chosen = [np.flatnonzero((t == tile).all(axis=1)) for t in tiles]
        places = [(user, n) for user, n in zip(range(len(users)), chosen, strict=True) if len(n)]
        points = np.concatenate([uvs[u][n].reshape(-1, 2) for u, n in places])
        box = np.stack([points.min(0), points.max(0)])
        box += [[-1e-3], [1e-3]] * np.maximum(box[1] - box[0], 1.0)
        size = _rectangle_size(found, box[1] - box[0], min(LARGEST_BAKE, largest))
        with bake_meshes.rectangle(box, name, work.material) as item:
            picture = _bake_once(work, item, size)
        faces = [(users[u][0], users[u][2][n]) for u, n in places]
        placed = [(uvs[u][n] - box[0]) / (box[1] - box[0]) for u, n in places]
        patches.append(Patch((1.0, 1.0, 1.0), faces, picture, placed))
    return patches


def _rectangle_size(found: Dependence, extent: np.ndarray, largest: float) -> tuple[int, int]:
    native = np.array(_native(found))
    scale = max([1.0, *(float(np.linalg.norm(np.array(p.matrix)[:2, :2], 2)) for p in found.places)])
    texels = (native if native.any() else np.array([1024, 1024])) * scale * extent
    width, height = (int(min(max(t, LEAST_BAKE), largest)) for t in texels)
    return width, height


def _on_mesh(work: WorkingMaterial, user: User, found: Dependence, reading: Reading) -> Patch:
    """The triangles themselves are baked, in a layout of their own."""
    number, faces, rows = user
    points = np.empty(len(faces.mesh.vertices) * 3, np.float32)
    faces.mesh.vertices.foreach_get("co", points)
    world = np.array(faces.item.matrix_world)[:3, :3]
    areas = _areas((points.reshape(-1, 3) @ world.T)[faces.triangles[rows]])
    texels = areas.sum() * (_TEXELS_ACROSS / max(reading.extent, 1e-9)) ** 2
    of_pictures = _areas(np.pad(faces.uvs()[rows], ((0, 0), (0, 0), (0, 1)))).sum() * np.prod(_native(found))
    wanted = np.sqrt(2 * max(texels, of_pictures))  # half of the layout is used
    side = int(2 ** np.round(np.log2(min(max(wanted, LEAST_BAKE), LARGEST_BAKE))))
    while side < SMALLEST * np.sqrt(len(rows) / 2) + SMALLEST and side < LARGEST:
        side *= 2
    atlas = triangle_atlas(areas, side)
    with bake_meshes.triangles(faces, rows, atlas.uvs, work.material) as item:
        picture = _bake_once(work, item, (side, side), atlas.spread)
    return Patch((1.0, 1.0, 1.0), [(number, rows)], picture, [atlas.uvs])


def _areas(corners: np.ndarray) -> np.ndarray:
    """(F,) areas of triangles (F,3,3)."""
    a, b, c = corners.astype(np.float64).transpose(1, 0, 2)
    return np.nan_to_num(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _bake_once(
    work: WorkingMaterial,
    item: bpy.types.Object,
    size: tuple[int, int],
    finish: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels,
) -> np.ndarray:
    """The texture (H,W,4) that `finish` makes of baked pixels; the one of an earlier export where nothing changed."""
    try:
        name = fingerprint(work.material.node_tree, _shown(work), item, size)
    except UnknownContent:
        return texture(finish(bake(work, _shown(work), item, bake_meshes.ATLAS, size)))
    picture = known_bakes.find(name)
    if picture is None:
        picture = texture(finish(bake(work, _shown(work), item, bake_meshes.ATLAS, size)))
        known_bakes.keep(name, picture)
    return picture


def _shown(work: WorkingMaterial) -> Shown:
    assert work.shown is not None
    return work.shown


def _native(found: Dependence) -> tuple[int, int]:
    """Width and height of the largest picture, zeros without any; of one with hard pixels more."""
    images = [n.image for n in found.pictures if n.image and not is_missing(n.image)]
    if not images:
        return (0, 0)
    least = _SHARP_BAKE if any(n.interpolation == "Closest" for n in found.pictures) else 0
    return max(least, *(i.size[0] for i in images)), max(least, *(i.size[1] for i in images))
