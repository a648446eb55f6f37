"""Jobs in rounds: what was refined is restored again from more sides, kept, and gone on with."""

import json
from pathlib import Path

import numpy as np
import pytest
from pictures_only import pictures_only
from synthetic import make_shot, result_of

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.cloth.limits import limit_offsets
from ani3dhuman.fields.build import FIELDS
from ani3dhuman.pipeline import refining, restoring, round_views
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import PRESETS, RESIDUAL_FIELDS, Settings
from ani3dhuman.refinement import refine
from ani3dhuman.storage.frames_on_disk import FrameFile

SMALL = Settings.from_dict(
    {"preset": "draft", "gaussians": 2500, "refine_steps": 12, "refine_height": 96, "rounds": 3, "sampling_steps": 2}
)


@pytest.fixture(scope="module", autouse=True)
def no_mesh():
    """What is fitted here is pixels: of a prior that returns no mesh."""
    with pictures_only():
        yield


@pytest.fixture(scope="module")
def shot():
    return make_shot(6, width=96, height=160)


@pytest.fixture(scope="module")
def out(shot, tmp_path_factory):
    return animate(shot, tmp_path_factory.mktemp("rounds"), SMALL)


def notes_of(out) -> dict:
    return json.loads((out / "report.json").read_text())["notes"]


def test_rounds_are_told_with_their_sides_and_falling_strength(out):
    rounds = notes_of(out)["rounds"]
    assert [len(done["sides"]) for done in rounds] == [0, 1, 2]
    strengths = [done["strength"] for done in rounds]
    assert strengths[0] is None and 1 > strengths[1] > strengths[2] > 0
    assert all(done["moved_cm"] > 0 for done in rounds[1:] if done["loss"][1] < done["loss"][0])
    assert (out / "loss.png").stat().st_size > 10_000


def test_one_round_is_what_it_was(shot, out, tmp_path):
    animate(shot, tmp_path, SMALL.changed(rounds=1))
    assert len(notes_of(tmp_path)["rounds"]) == 1
    assert notes_of(tmp_path)["refinement"].split()[0] in ("Photometric", "The")
    assert notes_of(tmp_path)["rounds"][0]["loss"] == notes_of(out)["rounds"][0]["loss"]
    assert not list((tmp_path / ".work").glob("round_*"))


def test_one_round_is_the_plain_fit_to_the_bit(shot, tmp_path, monkeypatch):
    seen = {}
    real = refining.refine_in_rounds

    def overheard(problem, restore, config, *rest, **named):
        seen.update(problem=problem, config=config)
        return real(problem, restore, config, *rest, **named)

    monkeypatch.setattr(refining, "refine_in_rounds", overheard)
    clips = []
    monkeypatch.setattr(refining, "limit_offsets", lambda clip, x: clips.append(clip) or limit_offsets(clip, x))
    animate(shot, tmp_path, SMALL.changed(rounds=1))
    fit = seen["config"].fit
    plain = refine(seen["problem"], fit, Progress("refine", fit.steps)).vertices
    start = seen["problem"].coarse_vertices
    assert np.abs(plain - start).max() > 1e-4
    np.testing.assert_array_equal(result_of(tmp_path), start + limit_offsets(clips[0], plain - start))


def test_rounds_field_and_time_are_part_of_the_key_and_restoration_is_not_done_again(shot, tmp_path):
    plain = SMALL.changed(rounds=1)
    animate(shot, tmp_path, plain)
    for change in ({"rounds": 2}, {"field": "dct"}, {"round_minutes": 5.0}):
        animate(shot, tmp_path, plain.changed(**change))
        reused = json.loads((tmp_path / "report.json").read_text())["reused"]
        assert "restore" in reused and "refine" not in reused, change
        animate(shot, tmp_path, plain.changed(**change))
        assert "refine" in json.loads((tmp_path / "report.json").read_text())["reused"], change


def test_a_prior_that_knows_pictures_only_goes_through_rounds(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "restoration"))
    monkeypatch.setenv("ANI3DHUMAN_MODELS", str(tmp_path / "models"))
    from tiny_wan_repository import write_repository

    write_repository(tmp_path / "wan")
    settings = SMALL.changed(gaussians=1500, rounds=2, prior=str(tmp_path / "wan"), prompt="a walk")
    out = animate(make_shot(5, width=70, height=102), tmp_path / "out", settings)
    views = list((out / ".work").glob("round_*"))
    assert len(views) == 2, "the user's cameras and one side"
    for view in views:
        assert not (view / "restored.vertices.npy").exists()
        restored, layer = (FrameFile.open(view / f"{name}.rgb.frames") for name in ("restored", "layer"))
        assert (np.asarray(restored) != np.asarray(layer)).mean() > 0.1
    rounds = notes_of(out)["rounds"]
    assert [len(done["sides"]) for done in rounds] == [0, 1]
    assert rounds[1]["loss"][0] > 0 and rounds[1]["seconds"] > 0


def test_a_cancelled_job_goes_on_without_restoring_again(shot, out, tmp_path, monkeypatch):
    restored: list[float] = []
    real = round_views.restoring.restore_layer

    def counted(out_folder, settings, *rest):
        restored.append(settings.restore.strength)
        return real(out_folder, settings, *rest)

    monkeypatch.setattr(round_views.restoring, "restore_layer", counted)
    in_fit = {"reports": 0}

    def listener(report):
        if report.stage == "refine" and len(restored) == 1 + 2 and report.message.startswith("loss"):
            in_fit["reports"] += 1  # the second round's fit has begun: its two videos are finished

    with pytest.raises(Cancelled):
        animate(shot, tmp_path, SMALL, listener, lambda: in_fit["reports"] >= 2)
    assert restored == [SMALL.restore.strength, 0.5, 0.5]
    animate(shot, tmp_path, SMALL)
    assert restored == [SMALL.restore.strength, 0.5, 0.5, 0.4, 0.4, 0.4], "only the third round restores"
    np.testing.assert_array_equal(result_of(tmp_path), result_of(out))


def test_rounds_that_would_take_too_long_are_left_out_and_that_is_told(shot, tmp_path):
    animate(shot, tmp_path, SMALL.changed(round_minutes=1e-4))
    assert len(notes_of(tmp_path)["rounds"]) == 1
    assert "1 of 3, since another one would not have ended" in notes_of(tmp_path)["refinement"]


def test_what_restoration_took_is_kept_and_counts_for_the_second_round(shot, tmp_path, monkeypatch):
    took = []
    real = refining.refine_in_rounds

    def overheard(*given, restoring, **named):
        took.append(restoring)
        return real(*given, restoring=restoring, **named)

    monkeypatch.setattr(refining, "refine_in_rounds", overheard)
    animate(shot, tmp_path, SMALL.changed(rounds=1))
    animate(shot, tmp_path, SMALL.changed(rounds=1, refine_steps=13))  # restoration is found finished
    assert took[0] > 0 and took[1] == took[0]


def test_no_round_is_restored_more_strongly_than_the_first():
    assert refining.rounds_config(SMALL.changed(rounds=4)).strengths == (0.5, 0.4, 0.3)
    assert refining.rounds_config(SMALL.changed(rounds=4, strength=0.45)).strengths == (0.45, 0.4, 0.3)
    assert refining.rounds_config(SMALL.changed(rounds=4, strength=0.2)).strengths == (0.2, 0.2, 0.2)


def test_a_job_can_be_cancelled_while_targets_are_drawn(shot, tmp_path, monkeypatch):
    drawn = []
    real = round_views.rendered

    def counted(scene, vertices, progress):
        drawn.append(progress)
        return real(scene, vertices, progress)

    monkeypatch.setattr(round_views, "rendered", counted)
    with pytest.raises(Cancelled):
        animate(shot, tmp_path, SMALL, None, lambda: bool(drawn))
    assert len(drawn) == 1 and drawn[0].step == 1, "it stopped after one frame"
    assert not list((tmp_path / ".work").glob("refine-*"))


def test_a_measured_step_cache_is_measured_once(shot, tmp_path, monkeypatch):
    asked = []
    real = restoring.restore_layer

    def overheard(out, settings, *rest):
        asked.append(settings.video_model.measure_cache)
        return real(out, settings, *rest)

    monkeypatch.setattr(restoring, "restore_layer", overheard)
    animate(shot, tmp_path, SMALL.changed(rounds=2, measure_cache=True))
    assert asked == [True, False, False]


def test_settings_know_the_fields_and_the_rounds():
    assert set(RESIDUAL_FIELDS) == set(FIELDS)
    assert {Settings.from_dict({"preset": name}).refine.rounds for name in PRESETS} == {1}, "each takes as long again"
    for wrong in ({"rounds": 5}, {"rounds": 0}, {"field": "grid"}, {"round_minutes": 0.0}):
        with pytest.raises(Ani3DError, match=next(iter(wrong))):
            Settings.from_dict(wrong)


def test_another_field_is_another_result(shot, out, tmp_path):
    animate(shot, tmp_path, SMALL.changed(rounds=1, field="hexplane", refine_steps=24))
    assert np.abs(result_of(tmp_path) - result_of(out)).max() > 1e-4
