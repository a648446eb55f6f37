# SPDX-License-Identifier: GPL-3.0-or-later
"""The light that comes from the world: one colour, or what Cycles draws all around, reduced to a few numbers.

A picture of the sky becomes spherical harmonics of degree 2, which is all that a matte surface tells apart, and a sun
where one small part of it is far brighter than the rest, since that part casts shadows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import bpy
import mathutils
import numpy as np

from .. import compat
from ..cycles import cycles_scene
from ..sentence import said
from .lamps import SUN, Lamp, is_bright

WIDTH, HEIGHT, SAMPLES = 512, 256, 16
MIRRORED_HEIGHT = 32  # pixels of the picture that glossy surfaces mirror, which is twice as wide
_PEAK = 25.0  # times the mean radiance: from here on a part of the sky may be its sun
_SHARE = 0.1  # of all the light that a level surface gets, the least that makes a bright part a sun
_CLOSE, _CLOSE_PIXELS = math.radians(6), 192  # a small sun is rendered again, this wide
_AROUND = math.radians(8)  # how far from the brightest direction a sun reaches
Note = Callable[[str], None]


@dataclass(frozen=True)
class Sky:
    """What the world sends on the character, linear radiance.

    Attributes:
        ambient: (3,) mean over all directions.
        background: (3,) what is seen behind the character.
        harmonics: (9,3) real spherical harmonics of the radiance up to degree 2, None where it is even.
        sun: the sun in it, if there is one.
        picture: (H,W,3) the radiance without the sun, `directions` of each pixel; None where it is even.
    """

    ambient: np.ndarray
    background: np.ndarray
    harmonics: np.ndarray | None = None
    sun: Lamp | None = None
    picture: np.ndarray | None = None


def read_sky(scene: bpy.types.Scene, note: Note) -> Sky:
    """The world's light at the scene's frame; a world of more than one colour is rendered, which takes a second."""
    even = even_color(scene.world)
    if even is not None:
        if is_bright(even):
            return Sky(even, even)
        note(said("The world '{name}' is left out: its strength is beyond all reason.", name=scene.world.name))
        return Sky(np.zeros(3), np.zeros(3))
    try:
        light = _rendered(scene, lighting=True)
        shown = _rendered(scene, lighting=False) if _light_paths(scene.world.node_tree) else light
    except RuntimeError as error:
        note(
            said(
                "The world '{name}' cannot be rendered ({reason}): it is exported as grey.",
                name=scene.world.name,
                reason=str(error).strip(),
            )
        )
        return Sky(np.full(3, 0.5), np.full(3, 0.5))
    if getattr(scene.world.node_tree.animation_data, "action", None) or scene.world.animation_data:
        note(said("The world '{name}' is exported as it is at the first frame.", name=scene.world.name))
    weights = _solid_angles(*light.shape[:2])
    sun, rest = split_sun(light)
    if sun is not None and sun.shape[0] < _CLOSE / 2:
        sun = _closer(scene, sun) or sun
    harmonics = project(rest)
    background = (shown * weights[..., None]).sum((0, 1)) / weights.sum()
    return Sky(harmonics[0] * _HARMONIC_0, background, harmonics, sun, reduced(rest))


def even_color(world: bpy.types.World | None) -> np.ndarray | None:
    """(3,) the radiance of a world of one colour, None where its nodes make more of it."""
    if world is None:
        return np.zeros(3)
    nodes = [n for n in compat.nodes_in_use(world) if n.type == "OUTPUT_WORLD"]
    if not nodes:
        return np.array(world.color[:], np.float64) if not compat.nodes_in_use(world) else np.zeros(3)
    output = next((n for n in nodes if cast(Any, n).is_active_output), nodes[0])
    links = output.inputs["Surface"].links
    if not links:
        return np.zeros(3)
    node: Any = links[0].from_node
    if node.type not in ("BACKGROUND", "EMISSION"):
        return None
    if node.mute or node.inputs["Color"].is_linked or node.inputs["Strength"].is_linked:
        return None
    return np.array(node.inputs["Color"].default_value[:3], np.float64) * node.inputs["Strength"].default_value


def directions(height: int, width: int) -> np.ndarray:
    """(H,W,3) the way each pixel of an equirectangular picture looks, row 0 at the bottom, +X in the middle."""
    turn = (0.5 - (np.arange(width) + 0.5) / width) * 2 * np.pi
    up = ((np.arange(height) + 0.5) / height - 0.5)[:, None] * np.pi
    parts = np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.broadcast_to(np.sin(up), (height, width))
    return np.stack(parts, axis=-1)


_HARMONIC_0 = 0.28209479177387814


def harmonics_of(ways: np.ndarray) -> np.ndarray:
    """(..,9) real spherical harmonics of degree 0, 1 (y, z, x) and 2 (xy, yz, 3z^2-1, xz, x^2-y^2) of unit vectors."""
    x, y, z = np.moveaxis(ways, -1, 0)
    values = (
        np.full_like(x, _HARMONIC_0),
        *(0.4886025119029199 * v for v in (y, z, x)),
        1.0925484305920792 * x * y,
        1.0925484305920792 * y * z,
        0.31539156525252005 * (3 * z * z - 1),
        1.0925484305920792 * x * z,
        0.5462742152960396 * (x * x - y * y),
    )
    return np.stack(values, axis=-1)


def project(picture: np.ndarray) -> np.ndarray:
    """(9,3) harmonics of an equirectangular picture (H,W,3) of radiance."""
    weights = _solid_angles(*picture.shape[:2])
    return np.einsum("hw,hwk,hwc->kc", weights, harmonics_of(directions(*picture.shape[:2])), picture)


def reduced(picture: np.ndarray) -> np.ndarray:
    """(`MIRRORED_HEIGHT`,2 `MIRRORED_HEIGHT`,3) of an equirectangular picture (H,W,3), each pixel the mean of many."""
    high, wide = picture.shape[0] // MIRRORED_HEIGHT, picture.shape[1] // (2 * MIRRORED_HEIGHT)
    rows = picture[: high * MIRRORED_HEIGHT, : wide * 2 * MIRRORED_HEIGHT]
    return rows.reshape(MIRRORED_HEIGHT, high, 2 * MIRRORED_HEIGHT, wide, 3).mean((1, 3))


def split_sun(picture: np.ndarray) -> tuple[Lamp | None, np.ndarray]:
    """The sun of an equirectangular picture (H,W,3) of radiance, if it has one, and the picture without it."""
    weights, ways = _solid_angles(*picture.shape[:2]), directions(*picture.shape[:2])
    return _split(picture, weights, ways, _SHARE)


def _closer(scene: bpy.types.Scene, sun: Lamp) -> Lamp | None:
    """A sun that covers a few pixels of the world's picture, as a picture of its surroundings alone shows it."""
    frame = sun.matrix[:3, :3]
    half = math.tan(_CLOSE / 2)
    ticks = ((np.arange(_CLOSE_PIXELS) + 0.5) / _CLOSE_PIXELS * 2 - 1) * half
    x, y = np.meshgrid(ticks, ticks)
    ways = x[..., None] * -frame[:, 0] + y[..., None] * frame[:, 1] + frame[:, 2]
    lengths = np.linalg.norm(ways, axis=-1)
    weights = (2 * half / _CLOSE_PIXELS) ** 2 / lengths**3
    return _split(_rendered(scene, True, frame), weights, ways / lengths[..., None], 0.0)[0]


def _split(picture: np.ndarray, weights: np.ndarray, ways: np.ndarray, share: float) -> tuple[Lamp | None, np.ndarray]:
    """`split_sun` of pixels that cover `weights` (H,W) steradians in the directions `ways` (H,W,3).

    A sun gives at least `share` of what a level surface gets of light as bright as the mean.
    """
    brightness = picture.mean(-1)
    mean = float((brightness * weights).sum() / weights.sum())
    peak = np.unravel_index(np.argmax(brightness), brightness.shape)
    near = ways @ ways[peak] > math.cos(_AROUND)
    level = float(np.quantile(brightness[near], 0.5))
    bright = near & (brightness > max(_PEAK * mean if share else mean, 2 * level))
    if not bright.any() or not np.isfinite(mean):
        return None, picture
    around = near & ~bright
    sky = picture[around].mean(0) if around.any() else np.zeros(3)
    given = np.maximum(picture - sky, 0) * weights[..., None]
    color = given[bright].sum(0)
    if color.mean() < share * math.pi * mean:
        return None, picture
    way = np.einsum("p,pk->k", given[bright].mean(-1), ways[bright])
    way /= np.linalg.norm(way)
    spread = float((given[bright].mean(-1) * (1 - ways[bright] @ way)).sum() / given[bright].mean(-1).sum())
    matrix = np.eye(4)
    matrix[:3, 2] = way
    side = np.cross(way, (1, 0, 0) if abs(way[0]) < 0.9 else (0, 1, 0))
    matrix[:3, 0] = side / np.linalg.norm(side)
    matrix[:3, 1] = np.cross(way, matrix[:3, 0])
    rest = picture.copy()
    rest[bright] = np.minimum(picture[bright], sky)
    return Lamp(SUN, matrix, color, (min(4 * math.sqrt(spread), 2 * _AROUND), 1.0)), rest


def _solid_angles(height: int, width: int) -> np.ndarray:
    """(H,W) steradians of the pixels of an equirectangular picture."""
    edges = np.sin((np.arange(height + 1) / height - 0.5) * np.pi)
    return np.repeat(np.diff(edges)[:, None], width, axis=1) * (2 * np.pi / width)


def _rendered(scene: bpy.types.Scene, lighting: bool, towards: np.ndarray | None = None) -> np.ndarray:
    """(H,W,3) radiance of the world, row 0 at the bottom; with `lighting` as surfaces see it, and not the camera.

    All around, or `_CLOSE` wide around the third column of `towards` (3,3), the second upwards.

    Raises:
        RuntimeError: Blender's words, where Cycles does not render.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ani3d-sky-") as folder,
        without_results(),
        _observatory(scene, lighting) as temporary,
    ):
        if towards is not None:
            _look_at(temporary, towards)
        width, height = temporary.render.resolution_x, temporary.render.resolution_y
        path = str(Path(folder) / "sky.exr")
        temporary.render.filepath = path
        bpy.ops.render.render(write_still=True, scene=temporary.name)
        picture: Any = bpy.data.images.load(path)
        try:
            picture.colorspace_settings.name = "Non-Color"
            values = np.empty(width * height * 4, np.float32)
            picture.pixels.foreach_get(values)
        finally:
            bpy.data.images.remove(picture)
    pixels = values.reshape(height, width, 4)[..., :3].astype(np.float64)
    return np.maximum(np.nan_to_num(pixels, posinf=0.0, neginf=0.0), 0)


@contextmanager
def without_results() -> Iterator[None]:
    """Afterwards the picture "Render Result" is gone that Blender makes when something is rendered first."""
    known = set(bpy.data.images)
    try:
        yield
    finally:
        for image in [i for i in bpy.data.images if i.type == "RENDER_RESULT" and i not in known]:
            bpy.data.images.remove(image)


@contextmanager
def _observatory(scene: bpy.types.Scene, lighting: bool) -> Iterator[Any]:
    """A scene of its own with a copy of the world and a camera that sees all of it."""
    world: Any = scene.world.copy()
    lens: Any = bpy.data.cameras.new("ani3d sky")
    camera = bpy.data.objects.new("ani3d sky", lens)
    try:
        with cycles_scene("ani3d sky", scene, SAMPLES) as own:
            if lighting:
                _see_as_surfaces(world.node_tree)
            world.cycles.sampling_method = "NONE"  # the importance map of a large picture takes longer than the render
            own.world, own.camera = world, camera
            own.collection.objects.link(camera)
            compat.look_all_around(lens)
            camera.rotation_euler = (math.pi / 2, 0, -math.pi / 2)
            render: Any = own.render
            render.resolution_x, render.resolution_y, render.resolution_percentage = WIDTH, HEIGHT, 100
            render.film_transparent = render.use_compositing = render.use_sequencer = False
            render.image_settings.file_format, render.image_settings.color_depth = "OPEN_EXR", "32"
            yield own
    finally:
        bpy.data.objects.remove(camera)
        bpy.data.cameras.remove(lens)
        bpy.data.worlds.remove(world)


def _look_at(temporary: Any, towards: np.ndarray) -> None:
    camera, size = temporary.camera, _CLOSE_PIXELS
    camera.data.type, camera.data.angle = "PERSP", _CLOSE
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = -towards[:, 0], towards[:, 1], -towards[:, 2]
    camera.matrix_world = mathutils.Matrix(matrix.tolist())
    temporary.render.resolution_x = temporary.render.resolution_y = size


def _light_paths(tree: bpy.types.NodeTree) -> list[bpy.types.Node]:
    return [node for node in tree.nodes if node.type == "LIGHT_PATH"]


def _see_as_surfaces(tree: Any) -> None:
    """Replace what Light Path nodes say to the camera by what they say to a matte surface."""
    for node in _light_paths(tree):
        for output in node.outputs:
            for link in list(output.links):
                target: Any = link.to_socket
                tree.links.remove(link)
                value = 1.0 if output.name in ("Is Diffuse Ray", "Is Reflection Ray") else 0.0
                if target.type in ("VALUE", "INT", "BOOLEAN"):
                    target.default_value = type(target.default_value)(value)
                elif target.type in ("RGBA", "VECTOR"):
                    target.default_value = (value,) * 3 + ((1.0,) if target.type == "RGBA" else ())
