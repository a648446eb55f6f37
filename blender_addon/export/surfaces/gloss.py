# SPDX-License-Identifier: GPL-3.0-or-later
"""What a surface mirrors: roughness, metallic and specular level, read from its shaders, baked where they vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...math_nodes import Factor, put
from . import bake_meshes, graph
from .bake import bake
from .dependence import dependence_of
from .graph import Path, find
from .pictures import texture
from .shaders import Shown, WorkingMaterial

MATTE = (1.0, 0.0, 0.0)
_OF_LEVEL = 0.08  # what a surface of specular level 1 mirrors where it is faced
_MOST = 12.5  # specular level: all light
_SIDE = 512  # texels of a baked gloss
_SPREAD = 4  # texels around what is baked
_MIRRORS = ("BSDF_GLOSSY", "BSDF_ANISOTROPIC")
_CLEAR = ("BSDF_TRANSPARENT", "HOLDOUT")


@dataclass(frozen=True)
class Gloss:
    """Roughness, metallic and specular level: numbers, or sockets of the material's own tree."""

    roughness: Factor = MATTE[0]
    metallic: Factor = MATTE[1]
    specular: Factor = MATTE[2]

    @property
    def values(self) -> tuple[Factor, Factor, Factor]:
        return self.roughness, self.metallic, self.specular

    @property
    def varies(self) -> bool:
        return not all(isinstance(value, float) for value in self.values)

    @property
    def numbers(self) -> tuple[float, float, float]:
        """The values as numbers, which they are everywhere."""
        rough, metal, level = (
            value if isinstance(value, float) else usual for value, usual in zip(self.values, MATTE, strict=True)
        )
        return min(max(rough, 0.0), 1.0), min(max(metal, 0.0), 1.0), min(max(level, 0.0), _MOST)


def gloss_of(socket: Any, path: Path = (), depth: int = 0) -> Gloss:
    """What the shader mirrors that feeds `socket`."""
    output = graph.source(socket)
    if output is None or depth > 64:
        return Gloss()
    node = output.node
    if node.type == "GROUP" and node.node_tree:
        end = graph.group_end(node.node_tree, "GROUP_OUTPUT")
        return gloss_of(find(end.inputs, output.identifier), (*path, node), depth + 1) if end else Gloss()
    if node.type == "GROUP_INPUT" and path:
        return gloss_of(find(path[-1].inputs, output.identifier), path[:-1], depth + 1)
    if node.type == "BSDF_PRINCIPLED":
        return _principled(node, path)
    if node.type in _MIRRORS:
        return Gloss(_value(node.inputs["Roughness"], path, 0.2), 1.0, 0.0)
    if node.type == "BSDF_HAIR_PRINCIPLED":
        return Gloss(_value(node.inputs["Roughness"], path, 0.3), 0.0, 0.5)
    if node.type in ("MIX_SHADER", "ADD_SHADER"):
        return _both(node, path, depth)
    return Gloss()


def toon_of(socket: Any, path: Path = ()) -> tuple[float, float]:
    """Size and smoothness of the Toon shader that feeds `socket`; zeros where it is another, or one of shine."""
    output = graph.source(socket)
    if output is None or output.node.type != "BSDF_TOON" or output.node.component != "DIFFUSE":
        return 0.0, 0.0
    size, smooth = (graph.number(output.node.inputs[name], path) for name in ("Size", "Smooth"))
    return min(max(0.5 if size is None else size, 1e-3), 1.0), min(max(smooth or 0.0, 0.0), 1.0)


def _principled(node: Any, path: Path) -> Gloss:
    level = _value(node.inputs["Specular IOR Level"], path, 0.5)
    bend = graph.number(node.inputs["IOR"], path)
    bend = 1.5 if bend is None else max(bend, 1e-3)
    if isinstance(level, float):
        level = min(level * ((bend - 1) / (bend + 1)) ** 2 / 0.04, _MOST)
    return Gloss(_value(node.inputs["Roughness"], path, 0.5), _value(node.inputs["Metallic"], path, 0.0), level)


def _value(socket: Any, path: Path, usual: float) -> Factor:
    """A number, or the output that it comes from; within a group, where that cannot be baked, the `usual` number."""
    value = graph.number(socket, path)
    if value is not None:
        return value
    return usual if path else graph.source(socket)


def _both(node: Any, path: Path, depth: int) -> Gloss:
    """Of two shaders that are mixed or added. Reflections over another surface are its gloss."""
    mixed = node.type == "MIX_SHADER"
    sockets = node.inputs[1:3] if mixed else node.inputs[:2]
    factor = graph.number(node.inputs[0], path) if mixed else None
    kinds = [_kind(socket) for socket in sockets]
    first, second = (gloss_of(socket, path, depth + 1) for socket in sockets)
    if mixed and factor is not None and not 0 < factor < 1:
        return first if factor <= 0 else second
    for own, other, shown, share in ((0, 1, second, factor), (1, 0, first, 1 - factor if factor is not None else None)):
        if kinds[own] in _CLEAR:
            return shown
        if kinds[own] in _MIRRORS and kinds[other] not in _MIRRORS:
            if share is not None and share < 0.5:  # the mirror is most of it
                continue
            mirror = gloss_of(sockets[own], path, depth + 1)
            amount = 1.0 if not mixed else 0.04 if share is None else 1 - share
            return Gloss(mirror.roughness, 0.0, min(amount / _OF_LEVEL, _MOST))
    if first.varies or second.varies:
        return first if (factor or 0.5) <= 0.5 else second
    part = 0.5 if factor is None else factor
    return Gloss(*((1 - part) * a + part * b for a, b in zip(first.numbers, second.numbers, strict=True)))


def _kind(socket: Any) -> str:
    output = graph.source(socket)
    return "" if output is None else str(output.node.type)


def baked_gloss(
    work: WorkingMaterial, gloss: Gloss, users: Sequence[Any], uvs: Sequence[np.ndarray]
) -> tuple[tuple[float, float, float], np.ndarray | None]:
    """Numbers, and a texture (H,W,4) uint8 of the three where they vary, over `uvs` (n,3,2) of each user's triangles.

    Where the layout is not that of one picture, the numbers are the mean over the triangles, and there is no texture.

    Raises:
        RuntimeError: Blender's words, where Cycles does not bake.
    """
    tree: Any = work.material.node_tree
    joined = tree.nodes.new("ShaderNodeCombineXYZ")
    for socket, value in zip(joined.inputs, gloss.values, strict=True):
        put(tree, socket, value)
    shown = Shown(joined.outputs[0], 1.0)
    remarks = dependence_of(shown).remarks
    whole = np.zeros((_SIDE, _SIDE, 4), np.float32)
    inside = all(u.min() >= 0 and u.max() <= 1 for u in uvs) and not remarks
    means, areas = np.zeros(3), 0
    for (_, faces, rows), own in zip(users, uvs, strict=True):
        placed = own if inside else own - np.floor(own.mean(1, keepdims=True))
        with bake_meshes.triangles(faces, rows, placed, work.material) as item:
            found = bake(work, shown, item, bake_meshes.ATLAS, (_SIDE, _SIDE))
        there = found[..., :3].any(-1)
        whole[there] = found[there]
        means, areas = means + found[there][:, :3].sum(0), areas + int(there.sum())
    rough, metal, level = (float(v) / areas for v in means) if areas else MATTE
    mean = rough, metal, level
    if not inside:
        return mean, None
    return mean, texture(_spread(whole), encode=False)


def _spread(pixels: np.ndarray) -> np.ndarray:
    """Pixels that are not black grow into the black ones around them."""
    for _ in range(_SPREAD):
        empty = pixels[..., :3].max(-1) == 0
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            moved = np.roll(pixels, step, axis)
            fill = empty & (moved[..., :3].max(-1) > 0)
            pixels = np.where(fill[..., None], moved, pixels)
            empty = empty & ~fill
    pixels[..., 3] = 1
    return pixels


def with_gloss(work: WorkingMaterial, patches: Sequence[Any], users: Sequence[Any], gloss: Gloss) -> list[Any]:
    """The patches of a material with what they mirror."""
    if not gloss.varies:
        return [replace(patch, gloss=gloss.numbers) for patch in patches]
    meshes, done = {number: faces for number, faces, _ in users}, []
    for patch in patches:
        own = [(number, meshes[number], rows) for number, rows in patch.faces]
        uvs = patch.uvs or [None] * len(own)
        layouts = [faces.uvs()[rows] if u is None else u for (_, faces, rows), u in zip(own, uvs, strict=True)]
        numbers, picture = baked_gloss(work, gloss, own, layouts)
        done.append(replace(patch, gloss=numbers, gloss_texture=picture))
    return done
