"""A character of 1.7 cm or 170 m comes out like one of 1.7 m: same pictures, scaled vertices, Gaussians and lengths."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from synthetic import make_arrays, make_shot, result_of

from ani3d_formats.camera import CameraPath
from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.human_size import human_scale
from ani3d_formats.shot import Shot
from ani3dhuman import cli
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.restore_shot import restore_shot
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rendering.exposure import Exposure

FRAMES = 4
SETTINGS = Settings.from_dict(
    {
        "preset": "draft",
        "gaussians": 800,
        "render_scale": 1.0,
        "sampling_steps": 3,
        "refine_steps": 3,
        "refine_height": 80,
    }
)


def resized(factor: float, camera_type: str = "perspective") -> Shot:
    """The synthetic character with all lengths times `factor`, written out array by array."""
    arrays: dict[str, np.ndarray] = {k: np.array(v) for k, v in make_arrays(FRAMES, width=48, height=80).items()}
    meta = json.loads(str(arrays["meta"]))
    arrays["evaluated_vertices"] = np.tile(arrays["vertices"], (FRAMES, 1, 1)) * factor
    arrays["vertices"] = arrays["vertices"] * factor
    arrays["bone_lengths"] = arrays["bone_lengths"] * factor
    for name in ("bone_rest", "bone_pose", "viewmats"):
        arrays[name][..., :3, 3] *= factor
    if camera_type == "orthographic":
        arrays["Ks"][:, :2, :2] = np.diag([40 / factor, 40 / factor])
    arrays["meta"] = np.array(json.dumps({**meta, "camera_type": camera_type, "origin": [7.0, 0.0, 0.0]}))
    return Shot.from_arrays(arrays)


@dataclass
class Result:
    out: Path
    report: dict[str, Any]
    cache: FrameCache

    @classmethod
    def of(cls, out: Path) -> Result:
        return cls(out, json.loads((out / "report.json").read_text()), FrameCache.open(out / "synthetic.ani3d"))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Result.of(animate(resized(1), tmp_path_factory.mktemp("usual"), SETTINGS))


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_results_are_the_same_at_any_size(factor: float, usual: Result, tmp_path: Path) -> None:
    found = Result.of(animate(resized(factor), tmp_path, SETTINGS))
    extent = 1.7 * factor
    there, expected = result_of(tmp_path), factor * result_of(usual.out)
    held = resized(1)["region_ids"] < 2
    np.testing.assert_allclose(there[:, held], expected[:, held], atol=1e-6 * extent)
    # which pair of garments touches first is a matter of rounding, and from there cloth goes a way of its own
    apart = np.linalg.norm(there - expected, axis=2)[:, ~held] / extent
    assert np.median(apart) < 2e-3 and np.percentile(apart, 95) < 0.03
    for name, unit in (("position", factor), ("scale", factor)):
        expected = unit * np.asarray(usual.cache.arrays[name], np.float64)
        away = np.abs(found.cache.arrays[name] - expected)
        assert np.median(away) < 2e-3 * np.abs(expected).max(), name
    sheets = [cv2.imread(str(out / "contact_sheet.png")).astype(int) for out in (tmp_path, usual.out)]  # of all layers
    assert np.abs(sheets[0] - sheets[1]).mean() < 2
    assert found.cache.manifest.origin == usual.cache.manifest.origin == (7, 0, 0)
    for layer, centimetres in usual.report["hem_amplitude_cm"].items():
        assert found.report["hem_amplitude_cm"][layer] == pytest.approx(factor * centimetres, rel=0.05)
    moved = [r["notes"]["restoration"]["offset_mean_cm"] for r in (found.report, usual.report)]
    assert moved[0] == pytest.approx(factor * moved[1], rel=0.1) and moved[1] > 0
    assert "times its size" in found.report["notes"]["size"] and "size" not in usual.report["notes"]


@pytest.mark.parametrize("camera_type", ["perspective", "orthographic"])
def test_restoring_and_evaluated_layers_agree_too(camera_type: str, tmp_path: Path) -> None:
    settings = SETTINGS.changed(coarse="evaluated")
    sheets = []
    for factor in (1, 0.01):
        out = restore_shot(resized(factor, camera_type), tmp_path / str(factor), settings)
        sheets.append(cv2.imread(str(out / "contact_sheet.png")).astype(int))
    assert sheets[0].std() > 10
    assert np.abs(sheets[0] - sheets[1]).max() <= 2


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_film_is_the_same_at_any_size(factor: float, usual: Result, tmp_path: Path) -> None:
    """With depth of field: a lens and a focus distance that are as many times as large. The camera is close."""
    films = []
    for size, result in ((1.0, usual), (factor, Result.of(animate(resized(factor), tmp_path / "job", SETTINGS)))):
        shot = resized(size)
        near = shot["viewmats"].copy()
        near[:, 2, 3] = 0.45 * size  # so near that the hundredth part of it would be before the near plane
        replace(shot, arrays={**shot.arrays, "viewmats": near}).save(tmp_path / "shot.npz")
        arguments = ["render", str(result.cache.path), "--shot", str(tmp_path / "shot.npz"), "--format", "png"]
        lens = ["--fstop", str(1.4 / size), "--focus", str(0.4 * size), "--samples", "3"]
        assert cli.main([*arguments, *lens, "-o", str(tmp_path / f"film{size}")]) == 0
        files = sorted((tmp_path / f"film{size}").iterdir())
        films.append(np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]) / 65535)
    assert films[0].std() > 0.05
    assert np.abs(films[0] - films[1]).mean() < 0.03  # of cloth that touches, see above


@pytest.mark.parametrize(
    ("extent", "worked_on"),
    [(1.7, 1.7), (0.5, 0.5), (4, 4), (0.017, 1.7), (170, 1.7), (10, 1), (4.5, 1.7), (0.4, 1.7), (1e-4, 1), (2e6, 2)],
)
def test_a_character_is_brought_to_human_size_by_a_power_of_ten_where_one_leads_there(
    extent: float, worked_on: float
) -> None:
    for axis in range(3):
        vertices = np.zeros((2, 3), np.float32)
        vertices[1] = 0.1 * extent
        vertices[1, axis] = extent
        vertices += extent
        assert extent * human_scale(vertices) == pytest.approx(worked_on, rel=1e-6)


def test_a_character_of_human_size_is_left_alone_to_the_bit(usual: Result) -> None:
    assert human_scale(make_shot()["vertices"]) == 1
    assert "scale" not in usual.cache.manifest.provenance


@pytest.mark.parametrize("camera_type", ["perspective", "orthographic"])
def test_a_scaled_scene_looks_the_same(camera_type: str) -> None:
    shot, small = resized(1, camera_type), resized(1, camera_type).scaled(0.02)
    for t in (0, FRAMES - 1):
        there, depth = shot.cameras.project(shot["vertices"], t)
        again, near = small.cameras.project(small["vertices"], t)
        np.testing.assert_allclose(again, there, atol=1e-3)
        np.testing.assert_allclose(near, 0.02 * depth, rtol=1e-5)
    expected = resized(0.02, camera_type)
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(small[name], array, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_cloth_is_pinned_alike_at_any_size(factor: float) -> None:
    """By the rule alone, as the add-on shows pins, on the shot as it was exported."""
    there, usual = pin_weights(resized(factor)), pin_weights(resized(1))
    assert 0.05 < usual.mean() < 0.95
    np.testing.assert_allclose(there, usual, atol=1e-4)


def test_gaussians_cameras_and_lenses_scale() -> None:
    ones = np.ones((2, 5, 3), np.float32)
    frames = GaussianFrames(
        ones, np.ones((2, 5, 4), np.float32), np.broadcast_to(ones[0], ones.shape), ones[0, :, 0], ones
    )
    assert frames.scaled(3).means.max() == 3 and frames.scaled(3).scales.strides[0] == 0
    assert frames.scaled(3).quats.max() == 1
    lens = Exposure(fstop=2.0, focus_distance=4.0)
    cameras = make_shot(1).cameras
    assert lens.scaled(10).lens_radius(cameras) == pytest.approx(10 * lens.lens_radius(cameras))
    assert lens.scaled(10).focus_distance == 40
    moved: CameraPath = cameras.moved(np.array([5.0, -2.0, 1.0]))
    point = np.array([[0.1, 0.2, 0.9]])
    np.testing.assert_allclose(
        moved.project(point + np.array([5, -2, 1]), 0)[0], cameras.project(point, 0)[0], atol=1e-3
    )


def test_the_film_of_a_shot_with_another_origin_shows_the_same(usual: Result, tmp_path: Path) -> None:
    """The shot's places are counted from 7 m; another that counts from elsewhere has its cameras elsewhere."""
    shot, films = resized(1), []
    away = replace(shot, meta=replace(shot.meta, origin=(10.0, 2.0, 0.0)))
    moved = shot.cameras.moved(np.array([-3.0, -2.0, 0.0]))
    for number, each in enumerate((shot, replace(away, arrays={**shot.arrays, "viewmats": moved.viewmats}))):
        each.save(tmp_path / "shot.npz")
        out = tmp_path / str(number)
        arguments = ["render", str(usual.cache.path), "--shot", str(tmp_path / "shot.npz"), "--format", "png"]
        assert cli.main([*arguments, "--shutter", "0", "-o", str(out)]) == 0
        films.append(np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(out.iterdir())]) / 65535)
    np.testing.assert_allclose(films[0], films[1], atol=2e-3)
