"""Film shots from a cache, by the command line as a user gives it: files, sizes, ranges, errors, Ctrl-C."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from synthetic import make_shot

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3dhuman import cli
from ani3dhuman.media.video import read_video
from ani3dhuman.pipeline.film import Delivery, render_shot
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.rendering.motion_blur import render_frame
from ani3dhuman.rendering.subframe import gaussians_at

FRAMES = 5


@pytest.fixture(scope="module")
def figure():
    """A column of coloured Gaussians that walks before the synthetic shot's camera."""
    rng = np.random.default_rng(0)
    way = np.array([0.1, 0, 0]) * np.arange(FRAMES)[:, None, None]  # metres
    means = rng.uniform((-0.2, -0.2, 0), (0.2, 0.2, 1.7), (300, 3)) + way
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (FRAMES, 300, 1))
    scales = np.full((FRAMES, 300, 3), 0.05, np.float32)
    colors = np.tile(rng.random((300, 3)).astype(np.float32), (FRAMES, 1, 1))
    return GaussianFrames(means.astype(np.float32), quats, scales, np.full(300, 0.9, np.float32), colors)


@pytest.fixture(scope="module")
def shot():
    return make_shot(FRAMES, width=48, height=80)


@pytest.fixture(scope="module")
def folder(figure, shot, tmp_path_factory):
    """walk.ani3d and shot.npz of scene frames 1..FRAMES."""
    place = tmp_path_factory.mktemp("film")
    write_cache(place / "walk.ani3d", figure, fps=12, frame_start=1)
    shot.save(place / "shot.npz")
    return place


def render(folder, out, *options, status=0):
    arguments = ["render", str(folder / "walk.ani3d"), "--shot", str(folder / "shot.npz"), "-o", str(out)]
    assert cli.main([*arguments, *options]) == status


def read_exr(path):
    with OpenEXR.File(str(path)) as file:
        return file.channels()["RGBA"].pixels, dict(file.header())


def names(out):
    return sorted(p.name for p in out.iterdir())


def test_exr_frames_hold_what_the_library_renders(folder, figure, shot, tmp_path, capsys):
    render(folder, tmp_path, "--samples", "4", "--frames", "2:3", "--transparent", "--float", "--seed", "7")
    assert names(tmp_path) == ["walk_0002.exr", "walk_0003.exr"]
    exposure = Exposure(samples=4, seed=7)
    for frame in (2, 3):
        pixels, header = read_exr(tmp_path / f"walk_{frame:04d}.exr")
        expected = render_frame(figure, shot.cameras, frame, exposure, frame_start=1)
        np.testing.assert_allclose(pixels, expected.rgba, atol=1e-5)
        assert header["frame"] == frame and json.loads(header["exposure"])["samples"] == 4
        assert pixels[0, 0, 3] == 0 and pixels[..., 3].max() > 0.9
    assert "2 files" in capsys.readouterr().out


def test_lens_and_shutter_reach_the_picture(folder, figure, shot, tmp_path):
    options = ["--samples", "8", "--frames", "3", "--transparent", "--float"]
    render(folder, tmp_path, *options, "--shutter", "0.25", "--shutter-position", "end", "--fstop", "1.2",
           "--focus", "2.5", "--focal", "90")  # fmt: skip
    exposure = Exposure(8, 0.25, "end", fstop=1.2, focal_length=90, focus_distance=2.5)
    expected = render_frame(figure, shot.cameras, 3, exposure, frame_start=1).rgba
    np.testing.assert_allclose(read_exr(tmp_path / "walk_0003.exr")[0], expected, atol=1e-5)


def test_png_lies_on_the_background_of_the_shot_or_on_a_given_one(folder, shot, tmp_path):
    def corner(*options):
        render(folder, tmp_path, "--format", "png", "--samples", "1", "--shutter", "0", "--frames", "1", *options)
        picture = cv2.imread(str(tmp_path / "walk_0001.png"), cv2.IMREAD_UNCHANGED)
        assert picture.dtype == np.uint16
        return picture[0, 0, [2, 1, 0, 3]] / 65535

    np.testing.assert_allclose(corner(), [*shot.background_srgb, 1], atol=1e-4)
    np.testing.assert_allclose(corner("--background", "#ff8000"), [1, 128 / 255, 0, 1], atol=1e-4)
    np.testing.assert_allclose(corner("--transparent"), 0, atol=1e-4)


def test_a_video_has_every_frame_at_the_rate_of_the_cache(folder, figure, shot, tmp_path):
    render(folder, tmp_path, "--format", "mp4", "--samples", "2", "--scale", "2")
    assert names(tmp_path) == ["walk.mp4"]
    frames = read_video(tmp_path / "walk.mp4")
    assert frames.shape == (FRAMES, 160, 96, 3)
    assert cv2.VideoCapture(str(tmp_path / "walk.mp4")).get(cv2.CAP_PROP_FPS) == 12
    cameras = shot.cameras.resized(96, 160)
    expected = render_frame(
        figure,
        cameras,
        3,
        Exposure(samples=2),
        background=shot.background_srgb,
        frame_start=1,
        encoding=("premultiplied", "srgb"),
    ).rgba
    assert np.abs(frames[2] / 255 - expected[..., :3]).mean() < 0.03


def test_another_size_reframes_the_shot(folder, figure, shot, tmp_path):
    options = ["--samples", "1", "--shutter", "0", "--frames", "1", "--float", "--transparent"]
    render(folder, tmp_path, "--size", "90x60", *options)
    pixels, _ = read_exr(tmp_path / "walk_0001.exr")
    expected = render_frame(figure, shot.cameras.reframed(90, 60), 1, Exposure(1, 0), frame_start=1).rgba
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_reframing_keeps_what_the_longer_side_sees():
    K = np.array([[[60, 0, 30], [0, 66, 12], [0, 0, 1]]], np.float32)  # 48 x 32, shifted, oblong pixels
    path = CameraPath(np.eye(4, dtype=np.float32)[None], K, 48, 32)
    point = np.array([[0.1, 0.2, 2.0]])
    before = path.project(point, 0)[0][0] - (24, 16)
    for size in ((96, 64), (96, 30), (20, 96)):
        after = path.reframed(*size).project(point, 0)[0][0] - np.array(size) / 2
        np.testing.assert_allclose(after, 2 * before, rtol=1e-5)
    np.testing.assert_allclose(path.reframed(96, 64).Ks, path.resized(96, 64).Ks)


def test_what_is_read_for_a_frame_does_not_change_it(folder, figure, shot, tmp_path):
    """Only the frames that the shutter touches are opened; a long shutter reaches further."""
    exposure = Exposure(samples=6, shutter=3.0)
    files = render_shot(
        FrameCache.open(folder / "walk.ani3d"), shot.cameras, 1, tmp_path, exposure, Delivery("exr", None, True)
    )
    assert len(files) == FRAMES
    for frame, path in enumerate(files, 1):
        expected = render_frame(figure, shot.cameras, frame, exposure, frame_start=1).rgba
        np.testing.assert_allclose(read_exr(path)[0], expected, atol=1e-5)


def test_cache_and_cameras_may_start_at_different_frames(folder, figure, shot, tmp_path):
    cameras = shot.cameras
    more = np.concatenate([cameras.viewmats[:2], cameras.viewmats])
    longer = replace(cameras, viewmats=more, Ks=np.tile(cameras.Ks[:1], (FRAMES + 2, 1, 1)))
    longer.viewmats[:, 0, 3] += 0.03 * np.arange(FRAMES + 2)
    cache = FrameCache.open(folder / "walk.ani3d")
    (path,) = render_shot(cache, longer, -1, tmp_path, Exposure(samples=4), Delivery("exr", None, True, (2, 2)))
    same = replace(longer, viewmats=longer.viewmats[2:], Ks=longer.Ks[2:])
    expected = render_frame(figure, same, 2, Exposure(samples=4), frame_start=1).rgba
    np.testing.assert_allclose(read_exr(path)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--frames", "1:9"], "1..9"),
        (["--frames", "4:2"], "4..2"),
        (["--frames", "first"], "--frames first"),
        (["--size", "big"], "--size big"),
        (["--size", "0x0"], "size"),
        (["--scale", "-1"], "size"),
        (["--background", "grey"], "--background grey"),
        (["--format", "gif"], "exr, png, mp4"),
        (["--format", "mp4", "--transparent"], "transparent"),
        (["--format", "png", "--float"], "32-bit"),
        (["--samples", "0"], "samples"),
        (["--fstop", "2"], "focus"),
        (["--shutter-position", "middle"], "middle"),
    ],
)
def test_bad_options_give_one_clear_error_and_no_file(folder, options, said, tmp_path, capsys):
    render(folder, tmp_path / "out", *options, status=1)
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and said in captured.err
    assert not (tmp_path / "out").exists()


def test_missing_files_are_named(folder, tmp_path, capsys):
    shot, cache = str(folder / "shot.npz"), str(folder / "walk.ani3d")
    assert cli.main(["render", "nothing.ani3d", "--shot", shot, "-o", str(tmp_path / "out")]) == 1
    assert "nothing.ani3d" in capsys.readouterr().err
    assert cli.main(["render", cache, "--shot", "nothing.npz", "-o", str(tmp_path / "out")]) == 1
    assert "nothing.npz" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cache_of_other_frames_than_the_cameras_is_refused(folder, shot, tmp_path):
    cache = FrameCache.open(folder / "walk.ani3d")
    for start, hint in ((3, "3..5"), (50, "Take the shot")):
        with pytest.raises(Ani3DError) as caught:
            render_shot(cache, shot.cameras, start, tmp_path / "out", Exposure(), Delivery("exr", None))
        assert caught.value.code == "film.frames" and hint in caught.value.hint
    orthographic = replace(shot.cameras, camera_type="orthographic")
    with pytest.raises(Ani3DError) as caught:
        lens = Exposure(fstop=2, focus_distance=2)
        render_shot(cache, orthographic, 1, tmp_path / "out", lens, Delivery("mp4", np.zeros(3)))
    assert caught.value.code == "film.orthographic"
    assert not (tmp_path / "out").exists()


def test_a_cache_that_cannot_be_drawn_is_refused(figure, folder, tmp_path):
    from ani3d_formats.frames import CacheWriter

    with CacheWriter(tmp_path / "points.ani3d", count=2, frame_start=1, frame_end=1, fps=24) as writer:
        writer.frame({"position": np.zeros((2, 3), np.float32)})
    with pytest.raises(Ani3DError) as caught:
        FrameCache.open(tmp_path / "points.ani3d").gaussians(1, 1)
    assert caught.value.code == "cache.attributes" and "rotation" in caught.value.message

    with CacheWriter(tmp_path / "fading.ani3d", count=1, frame_start=1, frame_end=2, fps=24) as writer:
        for opacity in (0.2, 0.4):
            widths = {"position": 3, "rotation": 4, "scale": 3}
            values = {name: np.ones((1, width), np.float32) for name, width in widths.items()}
            writer.frame({**values, "radiance:base": np.array([[0, 0, 0, opacity]], np.float32)})
    fading = FrameCache.open(tmp_path / "fading.ani3d")
    assert fading.gaussians(2, 2).opacities == pytest.approx([0.4])
    np.testing.assert_allclose(fading.gaussians(1, 2).opacities, [[0.2], [0.4]])


def test_a_film_fades_with_the_opacities_of_its_frames(figure, shot, tmp_path):
    fading = replace(figure, opacities=np.linspace(0.9, 0.1, figure.frames)[:, None] * figure.opacities)
    write_cache(tmp_path / "fading.ani3d", fading, fps=24, frame_start=1)
    read = FrameCache.open(tmp_path / "fading.ani3d").gaussians(1, figure.frames)
    np.testing.assert_array_equal(read.opacities, fading.opacities.astype(np.float32))
    between = gaussians_at(read, 1.25)
    np.testing.assert_allclose(between.opacities[0], 0.75 * read.opacities[1] + 0.25 * read.opacities[2], atol=1e-6)
    sharp = Exposure(shutter=0)
    first, last = (render_frame(read, shot.cameras, t, sharp).rgba[..., 3] for t in (0, figure.frames - 1))
    assert last.mean() < 0.5 * first.mean()


def test_gaussians_come_out_of_a_cache_as_they_went_in(figure, folder):
    read = FrameCache.open(folder / "walk.ani3d").gaussians(2, 4)
    for name in ("means", "quats", "scales", "colors"):
        np.testing.assert_allclose(getattr(read, name), getattr(figure, name)[1:4], atol=1e-6)
    np.testing.assert_array_equal(read.opacities, figure.opacities)


def test_the_example_draws_a_sharp_and_a_film_picture(folder, tmp_path):
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "film_picture.py"))
    files = [str(folder / "walk.ani3d"), str(folder / "shot.npz"), "-o", str(tmp_path / "film.png")]
    example["main"]([*files, "--frame", "3", "--width", "160", "--samples", "8"])
    picture = cv2.imread(str(tmp_path / "film.png")).astype(float)
    sharp, film = picture[24:114], picture[138:228]  # below strips of 24 pixels with the titles
    assert picture.shape == (228, 160, 3)
    bends = [np.abs(np.diff(half, 2, axis=1)).mean() for half in (sharp, film)]
    assert 0 < bends[1] < 0.9 * bends[0], "softer"


@pytest.mark.parametrize("kind", ["exr", "mp4"])
def test_cancelling_keeps_whole_frames_only(folder, shot, tmp_path, kind):
    reports = []
    with pytest.raises(Ani3DError) as caught:
        render_shot(
            FrameCache.open(folder / "walk.ani3d"),
            shot.cameras,
            1,
            tmp_path,
            Exposure(samples=4),
            Delivery(kind, np.ones(3, np.float32)),
            listener=reports.append,
            should_cancel=lambda: reports[-1].step == 10,  # in the third frame
        )
    assert caught.value.code == "cancelled"
    assert reports[-1].total == 4 * FRAMES
    assert names(tmp_path) == (["walk_0001.exr", "walk_0002.exr"] if kind == "exr" else [])
    assert ("--frames 3:5" if kind == "exr" else "No video") in caught.value.hint


def test_ctrl_c_ends_the_command_and_leaves_no_half_file(folder, tmp_path):
    command = [sys.executable, "-m", "ani3dhuman.cli", "render", str(folder / "walk.ani3d")]
    command += ["--shot", str(folder / "shot.npz"), "-o", str(tmp_path), "--samples", "300"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 120
    while not (tmp_path / "walk_0001.exr").exists():
        assert process.poll() is None and time.monotonic() < deadline, "no first frame"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "--frames" in said and "Traceback" not in said
    assert all(not name.startswith(".") for name in names(tmp_path))
    for path in tmp_path.iterdir():
        assert read_exr(path)[0].shape == (80, 48, 4)
