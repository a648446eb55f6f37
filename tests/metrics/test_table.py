"""All figures at once: the truth's own row is perfect, faults show where they were made, and nowhere else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from patterns import noisy, sheet, sphere, texture

from ani3d_formats.errors import Ani3DError
from ani3dhuman.clip import CoarseClip
from ani3dhuman.metrics import FIGURES, ClipSetting, ClipVersion, format_table, judge, mean_ci, summarise

FRAMES, HEIGHT, WIDTH = 5, 72, 80


def scene() -> tuple[ClipVersion, ClipSetting]:
    """A sphere with a swinging sheet before it, and pictures of a textured block below a face."""
    body, body_faces = sphere(0.1, 10, 16)
    cloth, cloth_faces = sheet()
    bind = np.concatenate([body, cloth + np.array([-0.1, 0.15, 0])])
    faces = np.concatenate([body_faces, cloth_faces + len(body)])
    regions = np.r_[np.zeros(len(body), int), np.full(len(cloth), 3)]
    freedom = (regions == 3).astype(float)
    time = np.arange(FRAMES)[:, None, None]
    rigid = bind + 0.01 * time * np.array([1.0, 0, 0])
    height = 0.02 * np.sin(time + 40 * bind[:, :1]) * freedom[:, None]
    pictures = np.stack([noisy(texture(HEIGHT, WIDTH, t), 0.05, t) for t in range(FRAMES)])
    garment, face = np.zeros((2, FRAMES, HEIGHT, WIDTH), bool)
    garment[:, 30:70, 10:70] = True
    face[:, 5:25, 30:50] = True
    setting = ClipSetting(
        faces,
        bind,
        regions,
        freedom,
        rigid,
        24.0,
        pictures,
        face,
        face,
        np.broadcast_to(bind[:, 0] < 0, rigid.shape[:2]),
    )
    truth = ClipVersion(pictures, (garment | face).astype(float), garment, rigid + height * [0, 0, 1.0])
    return truth, setting


TRUTH, SETTING = scene()
OWN = judge(TRUTH, TRUTH, SETTING, every=2)


def test_the_truths_own_row_is_perfect():
    assert set(OWN) == set(FIGURES)
    for key, value in OWN.items():
        if key in ("warp_error", "warp_coverage", "acceleration_rms", "edge_p99"):
            assert np.isfinite(value)  # the truth's own, neither 0 nor 1
        elif key.endswith("psnr_db"):
            assert value == 100
        else:
            best = {"max": 1, "min": 0, "1": 1}[FIGURES[key].best]
            assert value == pytest.approx(best, abs=1e-5), key


def test_a_fault_in_the_garment_leaves_the_preserved_region_perfect():
    pictures = TRUTH.pictures.copy()
    pictures[:, 40:60, 20:60] = noisy(pictures[:, 40:60, 20:60], 0.3)
    row = judge(TRUTH, replace(TRUTH, pictures=pictures), SETTING, every=2)
    changed = {k for k in row if row[k] != pytest.approx(OWN[k], abs=1e-6)}
    assert changed == {
        "garment_psnr_db", "garment_ssim", "garment_lpips", "garment_flip", "detail_ratio", "flicker_ratio",
        "warp_error", "warp_coverage",
    }  # fmt: skip
    assert row["garment_psnr_db"] < 25 and row["detail_ratio"] > 1 and row["flicker_ratio"] > 1


def test_a_fault_in_the_face_shows_in_the_preserved_region():
    pictures = TRUTH.pictures.copy()
    pictures[:, 8:22, 33:47] = 0
    row = judge(TRUTH, replace(TRUTH, pictures=pictures), SETTING, every=2)
    assert row["preserved_psnr_db"] < 20 and row["preserved_ssim"] < 0.9 and row["preserved_change"] > 10
    assert row["face_lpips"] > 0.01
    assert row["garment_psnr_db"] == 100


def test_cloth_that_grew_or_sank_shows_in_its_figures():
    garment = np.roll(TRUTH.garment, 6, axis=2)
    vertices = TRUTH.vertices.copy()
    sheet_ = SETTING.free
    vertices[:, sheet_] = SETTING.rigid_vertices[:, sheet_] + 2 * (
        TRUTH.vertices[:, sheet_] - SETTING.rigid_vertices[:, sheet_]
    )
    vertices[:, sheet_, 1] -= 0.2  # through the sphere
    row = judge(TRUTH, replace(TRUTH, garment=garment, vertices=vertices), SETTING, every=2, perceptual=False)
    assert row["garment_iou"] == pytest.approx(54 / 66)
    assert row["silhouette_iou"] == 1
    assert row["acceleration_ratio"] == pytest.approx(4) and row["amplitude_ratio"] == pytest.approx(2)
    assert row["acceleration_rms"] == pytest.approx(2 * OWN["acceleration_rms"])
    assert row["node_error_cm"] > 19 and row["penetration_p99_mm"] > 20 and row["fold_ratio"] > 2
    assert not {"garment_lpips", "garment_flip", "face_lpips"} & set(row)


def test_what_was_not_given_is_left_out():
    meshes = judge(ClipVersion(vertices=TRUTH.vertices), TRUTH, SETTING)
    assert set(meshes) == {
        "node_error_cm", "visible_error_cm", "hidden_error_cm", "acceleration_ratio", "acceleration_rms",
        "amplitude_ratio", "fold_ratio", "garment_fold_ratio", "edge_p99", "penetration_p99_mm", "penetration_share",
    }  # fmt: skip
    bare = replace(SETTING, preserve=None, face=None, visible=None, rigid_pictures=None)
    pictures = judge(replace(TRUTH, vertices=None, alphas=None), TRUTH, bare, perceptual=False)
    assert set(pictures) == {
        "garment_psnr_db", "garment_ssim", "detail_ratio", "flicker_ratio", "garment_iou", "warp_error",
        "warp_coverage",
    }  # fmt: skip


def test_arrays_that_do_not_fit_are_named():
    with pytest.raises(Ani3DError, match=r"candidate\.pictures is \(4, 72, 80, 3\)") as caught:
        judge(TRUTH, replace(TRUTH, pictures=TRUTH.pictures[:4]), SETTING)
    assert caught.value.code == "metrics.shapes"
    with pytest.raises(Ani3DError, match="freedom is"):
        judge(TRUTH, TRUTH, replace(SETTING, freedom=SETTING.freedom[:-1]))
    with pytest.raises(Ani3DError) as caught:
        judge(replace(TRUTH, garment=None), TRUTH, SETTING)
    assert caught.value.code == "metrics.garment"


def test_exact_flow_is_used():
    flow = np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32)
    row = judge(TRUTH, replace(TRUTH, flow=flow), SETTING, perceptual=False)
    still = 255 * np.abs(np.diff(TRUTH.pictures, axis=0)).mean(-1)[TRUTH.garment[1:]].mean()
    assert row["warp_error"] == pytest.approx(still, rel=1e-5) and row["warp_coverage"] == 1


def test_a_clips_setting():
    faces = np.array([[0, 1, 2]])
    avatar = SimpleNamespace(binding=SimpleNamespace(faces=torch.from_numpy(faces)))
    rigid, regions, pins = np.zeros((2, 3, 3)), np.array([0, 3, 3]), np.array([1, 0.8, 0])
    clip = CoarseClip(None, avatar, None, None, 12.0, rigid[0], rigid, rigid, regions, pins)
    setting = ClipSetting.of(clip, visible=np.ones((2, 3), bool))
    assert setting.fps == 12 and (setting.faces == faces).all() and setting.visible.all()
    assert list(setting.free) == [False, False, True] and list(setting.loose_garment) == [False, True, True]
    assert len(setting.body_faces) == 0


def test_mean_and_interval():
    mean, half = mean_ci([1.0, 2.0, 3.0, float("nan")])
    assert mean == 2
    assert half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)  # t(0.975, 2 degrees of freedom), deviation 1
    assert mean_ci([5.0])[0] == 5 and np.isnan(mean_ci([5.0])[1])
    assert np.isnan(mean_ci([])[0])


def test_table():
    rows = [{"garment_psnr_db": 20.0, "edge_p99": 1.1}, {"garment_psnr_db": 22.0}]
    summary = summarise(rows)
    assert list(summary) == ["garment_psnr_db", "edge_p99"]
    table = format_table({"coarse": {"garment_psnr_db": 18.456, "fold_ratio": float("nan")}, "restored": summary})
    assert table.splitlines() == [
        "| version | PSNR dB ↑ | folds →1 | edge p99 |",
        "|---|---|---|---|",
        "| coarse | 18.46 | undefined | - |",
        "| restored | 21.00 ± 12.71 | - | 1.100 |",
    ]
