"""The main job on a small character: every stage, every file, reuse, cancel, and the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.errors import Cancelled
from ani3d_formats.frames import FrameCache
from ani3d_formats.skinning import skin
from ani3dhuman import cli
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.media.video import read_video
from ani3dhuman.pipeline.amplitude import motion_amplitude
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings

SMALL = Settings.from_dict({"preset": "draft", "gaussians": 2500, "refine_steps": 12, "refine_height": 96})
FRAMES = 6
STAGES = ("avatar", "rigid", "cloth", "render_rigid", "render_coarse", "restore", "refine", "render_refined")


@pytest.fixture(scope="module")
def shot():
    return make_shot(FRAMES, width=96, height=160)


@pytest.fixture(scope="module")
def result(shot, tmp_path_factory):
    """A finished job and everything that was reported on the way."""
    reports = []
    out = animate(shot, tmp_path_factory.mktemp("job"), SMALL, reports.append)
    return out, reports


def report_of(out):
    return json.loads((out / "report.json").read_text())


def test_every_promised_file_is_there(result):
    out, _ = result
    for name in ("contact_sheet.png", "conditions.png", "report.json"):
        assert (out / name).stat().st_size > 100
    for layer in ("rigid", "coarse", "restored", "refined", "side_by_side"):
        assert len(read_video(out / "videos" / f"{layer}.mp4")) == FRAMES


def test_every_stage_reports_its_progress_to_the_end(result):
    _, reports = result
    last = {r.stage: (r.step, r.total) for r in reports}
    for stage in (*STAGES, "cache", "pictures"):
        if stage != "refine":  # it may settle early
            assert last[stage][0] == last[stage][1], stage
    assert all(r.step <= r.total for r in reports)
    assert any(r.preview is not None and max(r.preview.shape[:2]) <= 128 for r in reports)


def test_the_cache_holds_the_refined_character(result, shot):
    out, _ = result
    cache = FrameCache.open(out / "synthetic.ani3d")
    cache.verify()
    meshes = cache.meshes()
    assert set(meshes) == {"Body", "Skirt", "Hair"}
    first, last = cache.frame(1), cache.frame(FRAMES)
    assert np.abs(first["position"] - last["position"]).max() > 0.05
    np.testing.assert_allclose(np.linalg.norm(first["rotation"], axis=1), 1, atol=1e-4)
    body = shot.meta.objects[0]
    rigid_body = shot["vertices"][body.rows]
    assert np.abs(meshes["Body"].vertices[0] - rigid_body).max() < 1e-4, "frame 1 is the bind pose of the body"


def test_face_and_skin_are_where_the_skeleton_puts_them(result, shot):
    out, _ = result
    rigid = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    body = FrameCache.open(out / "synthetic.ani3d").meshes()["Body"].vertices
    np.testing.assert_allclose(body, rigid[:, : body.shape[1]], atol=1e-6)


def test_the_report_counts_and_measures(result, shot):
    report = report_of(result[0])
    assert report["frames"] == FRAMES and report["gaussians"] == pytest.approx(2500, rel=0.05)
    assert set(STAGES) <= set(report["seconds"])
    pins = pin_weights(shot)
    rigid = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    meshes = FrameCache.open(result[0] / "synthetic.ani3d").meshes()
    refined = np.concatenate([meshes[entry.name].vertices for entry in shot.meta.objects], 1)
    amplitude = report["hem_amplitude_cm"]
    assert amplitude["rigid"] == pytest.approx(motion_amplitude(shot, rigid, pins), abs=0.01)
    assert amplitude["refined"] == pytest.approx(motion_amplitude(shot, refined, pins), abs=0.01)
    assert amplitude["coarse"] != amplitude["rigid"]


def test_run_again_everything_is_reused(result, shot):
    out, _ = result
    before = {p: p.stat().st_mtime_ns for p in (out / ".work").rglob("*.npy")}
    animate(shot, out, SMALL)
    assert {p: p.stat().st_mtime_ns for p in (out / ".work").rglob("*.npy")} == before
    assert set(report_of(out)["reused"]) == set(STAGES)


def test_a_fabric_tuned_anew_is_simulated_again(shot, tmp_path, monkeypatch):
    plain = SMALL.changed(prior="none", refine_steps=0)
    animate(shot, tmp_path, plain)
    monkeypatch.setitem(FABRICS, "generic", replace(FABRICS["generic"], bend=1e-5))
    animate(shot, tmp_path, plain)
    assert set(report_of(tmp_path)["reused"]) == {"avatar", "rigid", "render_rigid"}


def test_a_changed_camera_renders_again_but_simulates_nothing(result, shot):
    out, _ = result
    viewmats = shot["viewmats"].copy()
    viewmats[:, 2, 3] += 0.2
    animate(replace(shot, arrays={**shot.arrays, "viewmats": viewmats}), out, SMALL)
    assert set(report_of(out)["reused"]) == {"avatar", "rigid", "cloth"}


def test_a_cancelled_job_stops_and_goes_on_later(shot, tmp_path):
    seen = []

    def cancel():
        return bool(seen) and seen[-1].stage == "restore"

    with pytest.raises(Cancelled) as caught:
        animate(shot, tmp_path, SMALL, seen.append, cancel)
    assert "restore" in caught.value.message
    assert not (tmp_path / "synthetic.ani3d").exists()
    animate(shot, tmp_path, Settings.from_dict({**SMALL.to_dict(), "prior": "none", "refine_steps": 0}))
    assert {"avatar", "rigid", "cloth", "render_rigid"} <= set(report_of(tmp_path)["reused"])
    assert (tmp_path / "synthetic.ani3d").is_dir()


def test_without_prior_and_refinement_the_coarse_layer_comes_back(shot, tmp_path):
    settings = Settings.from_dict({**SMALL.to_dict(), "prior": "none", "refine_steps": 0})
    amplitudes = report_of(animate(shot, tmp_path, settings))["hem_amplitude_cm"]
    assert amplitudes["refined"] == amplitudes["coarse"]


def test_the_command_line_animates_and_inspects(shot, tmp_path, capsys):
    shot.save(tmp_path / "shot.npz")
    overrides = ["gaussians=1500", "prior=none", "refine_steps=0"]
    arguments = ["animate", str(tmp_path / "shot.npz"), "-o", str(tmp_path / "out"), "--preset", "draft"]
    assert cli.main(arguments + [a for o in overrides for a in ("--set", o)]) == 0
    assert "motion of the hem" in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "out" / "synthetic.ani3d")]) == 0
    assert "position" in capsys.readouterr().out
    assert (tmp_path / "out" / "synthetic.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["animate", "nothing.npz", "-o", "out"], "nothing.npz"),
        (["animate", "nothing.npz", "-o", "out", "--preset", "best"], "best"),
        (["animate", "nothing.npz", "-o", "out", "--set", "seed"], "NAME=VALUE"),
        (["inspect", "nothing.ani3d"], "nothing.ani3d"),
    ],
)
def test_bad_arguments_give_one_clear_error(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert said in captured.err and "Traceback" not in captured.err
