"""Pictures that artists have: packed and gone from disk, films, huge ones, without UVs or with UVs over each other."""

from __future__ import annotations

import bpy
import numpy as np
from paints import image, saved_picture
from test_surfaces import compared  # noqa: F401


def _alike(blender: np.ndarray, exported: np.ndarray) -> None:
    np.testing.assert_allclose(exported.mean((0, 1)), blender.mean((0, 1)), atol=0.02)
    assert np.percentile(np.abs(exported - blender), 80) < 0.03


def test_a_packed_picture_is_there_when_its_file_is_gone(compared, tmp_path):  # noqa: F811
    saved_picture(tmp_path, "skin.png", (0.1, 0.6, 0.2))
    packed = bpy.data.images.load(str(tmp_path / "skin.png"))
    packed.pack()
    (tmp_path / "skin.png").unlink()
    blender, exported, warnings = compared(lambda t: t.link(t.picture(packed).outputs[0], t.color))
    _alike(blender, exported)
    assert warnings == [] and exported[..., 1].mean() > 0.25


def test_a_film_that_is_gone_is_one_warning(compared):  # noqa: F811
    def build(t):
        film = image()
        film.filepath_raw, film.source = "//nowhere.mp4", "MOVIE"
        t.link(t.picture(film).outputs[0], t.color)

    _, _, warnings = compared(build)
    assert len(warnings) == 1 and "'Paint'" in warnings[0]


def test_a_huge_picture_is_made_smaller(compared):  # noqa: F811
    def build(t):
        huge = bpy.data.images.new("Huge", 8192, 64)
        huge.generated_color = (0.2, 0.6, 0.1, 1)
        t.link(t.picture(huge).outputs[0], t.color)

    blender, exported, _ = compared(build)
    _alike(blender, exported)


def test_a_picture_without_uvs_shows_as_blender_shows_it(compared):  # noqa: F811
    def build(t):
        t.item.data.uv_layers.remove(t.item.data.uv_layers[0])
        t.link(t.picture().outputs[0], t.color)

    blender, exported, _ = compared(build)
    _alike(blender, exported)


def test_uvs_over_each_other_bake_apart(compared):  # noqa: F811
    def build(t):
        for face in t.item.data.polygons:
            for corner, index in enumerate(face.loop_indices):
                t.item.data.uv_layers[0].data[index].uv = ((0, 0), (1, 0), (1, 1), (0, 1))[corner]
        t.link(t.new("TexCoord").outputs["Object"], t.color)

    blender, exported, warnings = compared(build, quads=3)
    _alike(blender, exported)
    assert warnings == []
