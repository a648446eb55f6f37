"""A prior that returns a mesh is followed by its mesh, in one round or several: no pixel is drawn or fitted for it."""

import json

import numpy as np
import pytest
from synthetic import make_shot, result_of

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3dhuman.pipeline import refining
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.refinement.consensus import Consensus
from ani3dhuman.refinement.mesh_rounds import MeshSample

SMALL = Settings.from_dict({"preset": "draft", "gaussians": 1200, "sampling_steps": 2})


@pytest.fixture(scope="module")
def shot():
    return make_shot(6, width=64, height=96)


def notes_of(out) -> dict:
    return json.loads((out / "report.json").read_text())["notes"]


@pytest.fixture
def no_pixels(monkeypatch):
    def refused(*given, **named):
        raise AssertionError("pixels are fitted")

    monkeypatch.setattr(refining, "refine_in_rounds", refused)
    monkeypatch.setattr(refining, "view_of", refused)


def test_the_restored_mesh_is_the_result(shot, tmp_path, no_pixels):
    out = animate(shot, tmp_path, SMALL)
    (stage,) = (out / ".work").glob("restore-*")
    np.testing.assert_array_equal(result_of(out), np.load(stage / "vertices.npy"))
    assert not (out / "loss.png").exists()
    assert "needs no pixels" in notes_of(out)["refinement"]
    assert not list(stage.glob("rgb*")), "its pictures are drawn from the mesh when somebody looks"


def test_rounds_take_what_all_samples_agree_on(shot, tmp_path, no_pixels, monkeypatch):
    samples = []
    real = Consensus.joined

    def overheard(self, views):
        views = list(views)
        samples.extend(views)
        return real(self, views)

    monkeypatch.setattr(Consensus, "joined", overheard)
    out = animate(shot, tmp_path, SMALL.changed(rounds=3))
    assert len(samples) == 1 + 2 + 3 and all(isinstance(sample, MeshSample) for sample in samples)
    rounds = notes_of(out)["rounds"]
    assert [len(done["sides"]) for done in rounds] == [0, 1, 2]
    assert all(done["moved_cm"] > 0 for done in rounds[1:])
    one = animate(shot, tmp_path, SMALL)
    assert "restore" in json.loads((one / "report.json").read_text())["reused"]


def test_rounds_go_on_from_the_samples_that_are_finished(shot, tmp_path):
    settings, restored = SMALL.changed(rounds=2), []

    def listener(report):
        if report.stage == "refine" and report.step > 101:
            restored.append(report.step)

    with pytest.raises(Cancelled):
        animate(shot, tmp_path, settings, listener, lambda: bool(restored))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / ".work").glob("mesh_*/*.npy")}
    assert before
    animate(shot, tmp_path, settings)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in before}.items()


def test_without_a_prior_the_coarse_layer_is_the_result(shot, tmp_path, no_pixels):
    out = animate(shot, tmp_path, SMALL.changed(prior="none", rounds=3))
    (stage,) = (out / ".work").glob("cloth-*")
    np.testing.assert_array_equal(result_of(out), np.load(stage / "vertices.npy"))
    assert "1 of 3, since without a prior" in notes_of(out)["refinement"]


def test_a_device_that_is_not_there_is_refused_at_once(shot, tmp_path):
    for device, code in (("cuda:99", "compute.no_cuda"), ("gpu", "settings.value")):
        with pytest.raises(Ani3DError) as refused:
            animate(shot, tmp_path, Settings.from_dict({**SMALL.to_dict(), "device": device}))
        assert refused.value.code == code
    assert not (tmp_path / ".work").exists()
