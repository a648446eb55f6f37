"""Five characters whose surfaces are hard: hair in cards, lace, UDIM tiles, vertex colours, toon. Runs in Blender."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from benchmarks.characters.bodies import FRAMES, HUMAN, armature, bind, dress, follow, grown, mesh, wave

SIDE = 256  # pixels of a painted texture
SWAY = {"upper_arm.L": (0.7, 0, 0.3), "upper_arm.R": (0.7, 0, 0.3), "thigh.L": (0.5, 0, 0), "head": (0.1, 0.4, 0)}


def _human() -> tuple[bpy.types.Object, bpy.types.Object, bpy.types.Object]:
    """Rig, body and skirt; the skirt has a UV map around it."""
    rig, body, skirt = armature("Rig", HUMAN), grown("Body", HUMAN), dress()
    bind(body, rig)
    follow(skirt, body, rig)
    wave(rig, SWAY, stride=0.3)
    _unwrap(skirt)
    _unwrap(body)
    return rig, body, skirt


def _unwrap(item: bpy.types.Object) -> None:
    """A UV map by angle around the vertical axis and by height, both 0..1; faces across the seam reach over 1."""
    points = np.array([vertex.co[:] for vertex in item.data.vertices])
    low, high = points.min(0), points.max(0)
    around = (np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)) % 1
    up = (points[:, 2] - low[2]) / (high[2] - low[2])
    layer = item.data.uv_layers.new(name="UVMap")
    for polygon in item.data.polygons:
        own = around[list(polygon.vertices)]
        own = np.where(own.max() - own > 0.5, own + 1, own)
        for corner, u, vertex in zip(polygon.loop_indices, own, polygon.vertices, strict=True):
            layer.data[corner].uv = u, up[vertex]


def _image(name: str, pixels: np.ndarray) -> bpy.types.Image:
    """A packed picture of straight sRGB values (H,W,4), the first row at the bottom."""
    image: Any = bpy.data.images.new(name, pixels.shape[1], pixels.shape[0], alpha=True)
    image.pixels.foreach_set(pixels.astype(np.float32).ravel())
    image.pack()
    return image


def _nodes(item: bpy.types.Object) -> tuple[Any, Any]:
    """The node tree of the object's material, and its Principled node."""
    tree: Any = item.data.materials[0].node_tree
    return tree, next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")


def _textured(item: bpy.types.Object, image: bpy.types.Image, clear: bool = False) -> None:
    tree, shader = _nodes(item)
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    if clear:
        tree.links.new(texture.outputs["Alpha"], shader.inputs["Alpha"])


def hair_cards() -> bpy.types.Object:
    """Cards of hair whose texture is strands with gaps between them."""
    rig, _, _ = _human()
    rng, points, faces, uvs = np.random.default_rng(0), [], [], []
    for angle in np.linspace(0.6, 2 * np.pi - 0.6, 26):
        out, along = np.array((np.sin(angle), -np.cos(angle), 0)), np.array((np.cos(angle), np.sin(angle), 0))
        first = len(points)
        for u in np.linspace(0, 1, 9):
            middle = np.array((0, -0.01, 1.66)) + out * (0.06 + 0.07 * np.sqrt(u)) + np.array((0, 0, 0.06 - 0.4 * u))
            points += [middle - 0.025 * along, middle + 0.025 * along]
            uvs += [(0.0, 1 - u), (1.0, 1 - u)]
        faces += [(first + 2 * k, first + 2 * k + 1, first + 2 * k + 3, first + 2 * k + 2) for k in range(8)]
    item = mesh("Hair", points, faces)
    layer = item.data.uv_layers.new(name="UVMap")
    for loop in item.data.loops:
        layer.data[loop.index].uv = uvs[loop.vertex_index]
    material = bpy.data.materials.new("Hair")
    if material.node_tree is None:
        material.use_nodes = True
    item.data.materials.append(material)
    shade = rng.random(SIDE)[None, :].repeat(SIDE, 0)
    thin = np.linspace(0, 1, SIDE)[:, None] + 0.6 > rng.random(SIDE)[None, :]
    _textured(
        item, _image("Strands", np.dstack([0.15 + 0.3 * shade, 0.1 + 0.2 * shade, 0.06 + 0.1 * shade, thin])), True
    )
    _nodes(item)[1].inputs["Roughness"].default_value = 0.6
    item.vertex_groups.new(name="head").add(range(len(points)), 1.0, "REPLACE")
    item.parent = rig
    item.modifiers.new("Armature", "ARMATURE").object = rig
    return rig


def lace() -> bpy.types.Object:
    """A skirt of lace: rows of round holes, closed at the waist."""
    rig, _, skirt = _human()
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    holes = (np.hypot((x * 24) % 1 - 0.5, (y * 10) % 1 - 0.5) < 0.33) & (y < 0.8)
    colors = np.dstack([np.full_like(x, 0.9), 0.85 - 0.3 * y, 0.8 - 0.5 * y, ~holes])
    _textured(skirt, _image("Lace", colors), clear=True)
    return rig


def udim(folder: Path) -> bpy.types.Object:
    """A body that wears two UDIM tiles, one for each half of its height."""
    rig, body, _ = _human()
    layer = body.data.uv_layers[0].data
    for corner in layer:
        corner.uv = (corner.uv[0] % 1 + (1 if corner.uv[1] > 0.5 else 0), corner.uv[1])
    for polygon in body.data.polygons:  # a face is on one tile
        right = np.mean([layer[corner].uv[0] for corner in polygon.loop_indices]) > 1
        for corner in polygon.loop_indices:
            u, v = layer[corner].uv
            layer[corner].uv = np.clip(u, 1.001 if right else 0.001, 1.999 if right else 0.999), v
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number, colors in ((1001, (0.75, 0.5, 0.4)), (1002, (0.45, 0.55, 0.75))):
        stripes = 0.75 + 0.25 * (np.sin(2 * np.pi * (12 * y + (number - 1001) * 6 * x)) > 0)
        image: Any = _image(f"skin.{number}", np.dstack([stripes * c for c in colors] + [np.ones_like(x)]))
        image.filepath_raw, image.file_format = str((folder / f"skin.{number}.png").resolve()), "PNG"
        image.save()
    tiled: Any = bpy.data.images.load(str((folder / "skin.1001.png").resolve()))
    tiled.source, tiled.filepath = "TILED", str((folder / "skin.<UDIM>.png").resolve())
    tiled.reload()
    if 1002 not in [tile.number for tile in tiled.tiles]:
        tiled.tiles.new(tile_number=1002)
    _textured(body, tiled)
    return rig


def vertex_colors() -> bpy.types.Object:
    """A body coloured at its vertices."""
    rig, body, _ = _human()
    attribute = body.data.color_attributes.new("Col", "FLOAT_COLOR", "POINT")
    for item, vertex in zip(attribute.data, body.data.vertices, strict=True):
        bands = 0.5 + 0.5 * np.sin(30 * vertex.co[2])
        item.color = 0.25 + 0.5 * bands, 0.3 + 0.2 * vertex.co[2], 0.6 - 0.4 * bands, 1
    tree, shader = _nodes(body)
    node = tree.nodes.new("ShaderNodeVertexColor")
    node.layer_name = "Col"
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return rig


def toon() -> bpy.types.Object:
    """Body and skirt in toon shaders, as Cycles draws them."""
    rig, body, skirt = _human()
    for item, color in ((body, (0.8, 0.55, 0.4, 1)), (skirt, (0.1, 0.35, 0.6, 1))):
        tree, shader = _nodes(item)
        flat = tree.nodes.new("ShaderNodeBsdfToon")
        flat.inputs["Color"].default_value = color
        output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
        tree.links.new(flat.outputs[0], output.inputs["Surface"])
        tree.nodes.remove(shader)
    return rig


RIGS: dict[str, Callable[..., bpy.types.Object]] = {
    "hair_cards": hair_cards, "lace": lace, "udim": udim, "vertex_colors": vertex_colors, "toon": toon,
}  # fmt: skip


def build(name: str, folder: Path) -> bpy.types.Object:
    """The character of this name; what it keeps in files goes to `folder`."""
    chosen = RIGS[name]
    rig = chosen(folder) if chosen is udim else chosen()
    bpy.context.scene.frame_end = FRAMES
    return rig
