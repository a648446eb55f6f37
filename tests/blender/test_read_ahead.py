"""While results play, what their next frames need is read before Blender asks for it."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs

from ani3d_formats.pc2 import HEADER, read_pc2


def _files(part) -> dict[str, object]:
    """What plays in the scene, by the names of its files."""
    return {played.file.name: played for played in part("read_ahead").files_played(bpy.context.scene)}


def _kinds(part) -> set[str]:
    """The meshes and attributes of Gaussians that play."""
    return {name.removesuffix(".pc2").removesuffix("-fourth").split("-")[-1] for name in _files(part)}


@pytest.fixture
def reader(part):
    made = part("read_ahead").ReadAhead()
    yield made
    made.end()


@pytest.mark.parametrize(("offset", "speed", "loop"), [(0, 1, False), (4, 1, False), (-2, 0.5, False), (3, 1.5, True)])
def test_the_samples_that_are_read_are_those_that_blender_shows(result, part, offset, speed, loop):
    folder, _, skirt = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    item = next(each for each in bpy.data.objects if each.ani3d.kind == "MESH")
    item.ani3d.offset, item.ani3d.speed, item.ani3d.loop = offset, speed, loop
    played = _files(part)["Skirt.pc2"]
    for frame in (1, 3, 4, 6, 8, 10, 13, 20):
        bpy.context.scene.frame_set(frame)
        samples = part("read_ahead").samples_at(played, frame, len(skirt))
        place = frame * played.scale - played.start
        share = 0.0 if len(samples) == 1 else place - np.floor(place)
        expected = skirt[samples[0]] * (1 - share) + skirt[samples[-1]] * share
        np.testing.assert_allclose(rigs.evaluated_vertices(item), expected, atol=1e-4)


def test_next_frames_are_read_once(result, part, reader):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    files = list(_files(part).values())
    sizes = [read_pc2(each.file).vertices[0].nbytes for each in files]
    assert len(files) > 1 and min(sizes) > 0
    reader.want(files, [4, 5, 6])
    reader.end()
    assert reader.bytes == 3 * sum(sizes)
    reader.want(files, [5, 6, 7])
    reader.end()
    assert reader.bytes == 4 * sum(sizes)


def test_what_cannot_be_read_is_left_and_the_rest_is_read(result, part, reader, tmp_path):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    read_ahead = part("read_ahead")
    good = _files(part)["Skirt.pc2"]
    bad = [tmp_path / name for name in ("missing.pc2", "empty.pc2", "other.pc2", "folder.pc2", "none.pc2")]
    bad[1].touch()
    bad[2].write_bytes(b"x" * 100)
    bad[3].mkdir()
    bad[4].write_bytes(HEADER.pack(b"POINTCACHE2\0", 1, 4, 1.0, 1.0, 0))
    reader.want([*(read_ahead.Played(file, 1.0, 1.0, loop) for file in bad for loop in (False, True)), good], [3, 4])
    reader.end()
    assert reader.bytes == 2 * read_pc2(good.file).vertices[0].nbytes


def test_only_what_is_shown_and_moves_is_read(result, part):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    show, gaussians = part("results_shown").show_as, {"position", "rotation"}
    for what, moving in (("MESH", {"Skirt"}), ("GAUSSIANS", gaussians), ("BOTH", {"Skirt", *gaussians})):
        show("Rig", what)
        assert _kinds(part) == moving, what
    show("Rig", "ON_ORIGINAL")
    assert _kinds(part) == {"Skirt"}
    show("Rig", "ORIGINAL")
    assert not _files(part)


def test_an_animation_is_followed_over_its_end(result, part):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    scene, coming = bpy.context.scene, part("read_ahead").coming
    scene.frame_start, scene.frame_end = 3, 10
    scene.frame_set(9)
    assert coming(scene, 1) == [10, 3, 4, 5]
    assert coming(scene, -1) == [8, 7, 6, 5]
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 8, 9
    assert coming(scene, 1) == [8, 9, 8, 9]
    playing = part("read_ahead").playing
    playing.see(scene)
    playing.reader.end()
    assert playing.reader.bytes > 0


def test_nothing_is_read_while_nothing_plays(result, part):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    before = part("read_ahead").playing.reader.bytes
    for frame in (4, 5, 6):
        bpy.context.scene.frame_set(frame)
    part("read_ahead").playing.reader.end()
    assert part("read_ahead").playing.reader.bytes == before
