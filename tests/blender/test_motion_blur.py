"""Motion blur of results in Cycles: their modifiers play between frames, so paths are as long as the shutter is open.

No velocities are needed for it: Cycles asks for the meshes at the beginning, the middle and the end of the shutter.
"""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


def _trail(shutter: float) -> tuple[float, float]:
    """Middle and variance along x, metres, of what Cycles draws at frame 3 with motion blur over `shutter` frames."""
    render = bpy.context.scene.render
    render.use_motion_blur, render.motion_blur_position = shutter > 0, "CENTER"
    render.motion_blur_shutter = shutter or 0.5
    bpy.context.scene.frame_set(3)
    bpy.ops.render.render(write_still=True)
    picture = bpy.data.images.load(render.filepath, check_existing=False)
    alpha = np.array(picture.pixels[:]).reshape(32, 128, 4)[..., 3].sum(axis=0)
    x = (np.arange(128) + 0.5 - 64) / 32
    middle = float((alpha * x).sum() / alpha.sum())
    return middle, float((alpha * (x - middle) ** 2).sum() / alpha.sum())


def _check_trails(tmp_path) -> None:
    """What moves a metre a frame leaves a trail around where it is, as long as the shutter is open."""
    eye = rigs.camera((0, -5, 0))
    eye.rotation_euler, eye.data.type, eye.data.ortho_scale = (np.pi / 2, 0, 0), "ORTHO", 4
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 32, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.film_transparent = 128, 32, True
    scene.render.filepath = str(tmp_path / "trail.png")
    _, still = _trail(0.0)
    for shutter in (0.5, 1.0):
        middle, blurred = _trail(shutter)
        assert abs(middle) < 0.02
        assert blurred - still == pytest.approx(shutter**2 / 12, rel=0.1)  # the variance of a path of that length


@pytest.mark.parametrize("what", ["MESH", "ON_ORIGINAL"])
def test_blur_of_meshes_lies_around_the_frame_and_grows_with_the_shutter(addon, tmp_path, what):
    bpy.ops.mesh.primitive_cube_add(size=0.3)
    board = bpy.context.object
    board.name = "Board"
    for frame, place in ((1, -3.0), (5, 5.0)):  # its own way is another, and not to be seen
        board.location, board.rotation_euler = (place, 0.5 * place, 0.2 * place), (0, 0, 0.05 * place)
        for channel in ("location", "rotation_euler"):
            board.keyframe_insert(channel, frame=frame)
    corners = np.array([vertex.co for vertex in board.data.vertices], np.float32)
    places = np.tile(corners, (5, 1, 1))
    places[..., 0] += np.arange(-2, 3)[:, None]
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", (1, 5), meshes={"Board": places})
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ani3d.show_result(name="Rig", what=what)
    assert board.hide_render == (what == "MESH")
    _check_trails(tmp_path)


def test_blur_of_gaussians_lies_around_the_frame_and_grows_with_the_shutter(addon, tmp_path):
    position = np.zeros((5, 40, 3))
    position[..., 0], position[..., 2] = np.arange(-2, 3)[:, None], np.linspace(-0.2, 0.2, 40)  # a metre a frame
    arrays = {
        "position": position,
        "rotation": np.tile([1.0, 0, 0, 0], (5, 40, 1)),
        "scale": np.full((40, 3), 0.15),
        "radiance:base": np.tile([1.5, 1.5, 1.5, 0.99], (40, 1)),
    }
    bpy.ops.ani3d.import_result(directory=str(rigs.write_cache(tmp_path / "Rig.ani3d", arrays, (1, 5))))
    _check_trails(tmp_path)
