"""The table of a shot's view transform, beside what Blender saves of a render."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs


@pytest.fixture
def table(addon, part):
    """The scene's table; nothing stays behind."""

    def read() -> np.ndarray | None:
        before = len(bpy.data.scenes), len(bpy.data.images)
        found = part("export.view_transform").view_table(bpy.context.scene)
        assert (len(bpy.data.scenes), len(bpy.data.images)) == before
        assert not list(Path(bpy.app.tempdir).glob("ani3d*.png"))
        return found

    return read


def _rendered(color: tuple[float, float, float], folder: Path) -> np.ndarray:
    """(3,) of a render of nothing but a world of a linear colour, saved as PNG."""
    scene = bpy.context.scene
    world = scene.world = bpy.data.worlds.new("World")
    if bpy.app.version < (5, 0):
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (*color, 1)
    rigs.camera()
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.dither_intensity = 0
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "PNG", "16"
    scene.render.filepath = str(folder / "render.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    image.colorspace_settings.name = "Non-Color"
    values = np.empty(8 * 8 * 4, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(-1, 4)[30, :3]


def _linear(code: float) -> float:
    return code / 12.92 if code <= 0.04045 else ((code + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("how", ["AgX", "Filmic", "exposure", "curves"])
def test_the_table_is_what_renders_look_like(table, tmp_path, how):
    settings = bpy.context.scene.view_settings
    settings.view_transform = how if how in ("AgX", "Filmic") else "Standard"
    settings.exposure = 0.7 if how in ("exposure", "AgX") else 0.0
    if how == "curves":
        settings.use_curve_mapping = True
        settings.curve_mapping.curves[3].points[1].location = (1.0, 0.6)
        settings.curve_mapping.update()
    found = table()
    rows = (8, 24, 16)
    shown = _rendered(tuple(_linear(row / 32) for row in rows), tmp_path)
    np.testing.assert_allclose(found[rows], shown, atol=0.004)
    assert np.abs(shown - np.array(rows) / 32).max() > 0.03


def test_plain_srgb_needs_no_table(table, part):
    bpy.context.scene.view_settings.view_transform = "Standard"
    assert table() is None
    rig = rigs.character()
    assert "view_table" not in part("export").export_shot(bpy.context, rig)
    bpy.context.scene.view_settings.view_transform = "AgX"
    shot = part("export").export_shot(bpy.context, rig)
    assert shot["view_table"].shape == (33, 33, 33, 3)
    assert shot["view_table"].dtype == np.float32
    white = shot["view_table"][-1, -1, -1]
    assert white.min() > 0.7 and white.max() < 0.85, "AgX keeps room above white"
