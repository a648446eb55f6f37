"""Jobs in rounds: what was refined is restored again from more sides, kept, and gone on with."""

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_shot

from ani3dhuman.cache.frames import FrameCache
from ani3dhuman.errors import Ani3DError, Cancelled
from ani3dhuman.motion.fields import FIELDS
from ani3dhuman.pipeline import round_views
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import PRESETS, RESIDUAL_FIELDS, Settings

SMALL = Settings.from_dict(
    {"preset": "draft", "gaussians": 2500, "refine_steps": 12, "refine_height": 96, "rounds": 3, "sampling_steps": 2}
)


@pytest.fixture(scope="module")
def shot():
    return make_shot(6, width=96, height=160)


@pytest.fixture(scope="module")
def out(shot, tmp_path_factory):
    return animate(shot, tmp_path_factory.mktemp("rounds"), SMALL)


def result_of(out) -> np.ndarray:
    meshes = FrameCache.open(out / "synthetic.ani3d").meshes()
    return np.concatenate([meshes[name].vertices for name in ("Body", "Skirt", "Hair")], axis=1)


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
    animate(shot, tmp_path, replace(SMALL, rounds=1))
    assert len(notes_of(tmp_path)["rounds"]) == 1
    assert notes_of(tmp_path)["refinement"].split()[0] in ("Photometric", "The")
    assert notes_of(tmp_path)["rounds"][0]["loss"] == notes_of(out)["rounds"][0]["loss"]
    assert not list((tmp_path / ".work").glob("round_*"))


def test_a_cancelled_job_goes_on_without_restoring_again(shot, out, tmp_path, monkeypatch):
    restored: list[float] = []
    real = round_views.restoring.restore_layer

    def counted(out_folder, settings, *rest):
        restored.append(settings.strength)
        return real(out_folder, settings, *rest)

    monkeypatch.setattr(round_views.restoring, "restore_layer", counted)
    in_fit = {"reports": 0}

    def listener(report):
        if report.stage == "refine" and len(restored) == 1 + 2 and report.message.startswith("loss"):
            in_fit["reports"] += 1  # the second round's fit has begun: its two videos are finished

    with pytest.raises(Cancelled):
        animate(shot, tmp_path, SMALL, listener, lambda: in_fit["reports"] >= 2)
    assert restored == [SMALL.strength, 0.5, 0.5]
    animate(shot, tmp_path, SMALL)
    assert restored == [SMALL.strength, 0.5, 0.5, 0.4, 0.4, 0.4], "only the third round restores"
    np.testing.assert_array_equal(result_of(tmp_path), result_of(out))


def test_without_a_prior_there_is_one_round(shot, tmp_path):
    animate(shot, tmp_path, replace(SMALL, prior="none"))
    assert len(notes_of(tmp_path)["rounds"]) == 1


def test_settings_know_the_fields_and_the_rounds():
    assert set(RESIDUAL_FIELDS) == set(FIELDS)
    assert {name: Settings.from_dict({"preset": name}).rounds for name in PRESETS} == {
        "draft": 1, "preview": 1, "final": 3,
    }  # fmt: skip
    for wrong in ({"rounds": 5}, {"rounds": 0}, {"field": "grid"}, {"round_minutes": 0.0}):
        with pytest.raises(Ani3DError, match=next(iter(wrong))):
            Settings.from_dict(wrong)


def test_another_field_is_another_result(shot, out, tmp_path):
    animate(shot, tmp_path, replace(SMALL, rounds=1, field="nodes", refine_steps=24))
    assert np.abs(result_of(tmp_path) - result_of(out)).max() > 1e-4
