"""The job that is cloth alone: meshes as the whole job's coarse layer has them, no Gaussians, nothing of torch."""

import json
import subprocess
import sys

import numpy as np
import pytest
from synthetic import make_shot, result_of

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.frames import FrameCache
from ani3dhuman.cli import main
from ani3dhuman.pipeline.settings import PRESETS, Settings
from ani3dhuman.pipeline.stages import coarse_layer
from ani3dhuman.pipeline.work import work


@pytest.fixture(scope="module")
def shot():
    return make_shot(6)


def test_its_caches_hold_every_object_and_no_gaussian(shot, tmp_path):
    reports = []
    work(shot, tmp_path, Settings.from_dict({"preset": "cloth"}), reports.append)
    cache = FrameCache.open(tmp_path / "synthetic.ani3d")
    cache.verify()
    assert cache.manifest.count == 0 and cache.manifest.attributes == () and len(cache.meshes()) == 3
    moved = result_of(tmp_path)
    assert moved.shape == (6, len(shot["vertices"]), 3) and np.isfinite(moved).all()
    assert {report.stage for report in reports} == {"rigid", "cloth", "cache"}
    written = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert written == {"synthetic.ani3d", "report.json"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["gaussians"] == 0 and report["hem_amplitude_cm"]["coarse"] > 0


def test_a_second_run_finds_the_motion_and_a_changed_floor_does_not(shot, tmp_path):
    for change in ({}, {}, {"floor": False}):
        work(shot, tmp_path, Settings.from_dict({"preset": "cloth"} | change))
        reused = json.loads((tmp_path / "report.json").read_text())["reused"]
        assert reused == ([] if not (tmp_path / "seen").exists() else ["rigid"] if change else ["rigid", "cloth"])
        (tmp_path / "seen").touch()


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_it_is_in_the_scenes_own_metres(shot, tmp_path, factor):
    work(shot, tmp_path / "person", Settings.from_dict({"preset": "cloth"}))
    work(shot.scaled(factor), tmp_path / "other", Settings.from_dict({"preset": "cloth"}))
    apart = np.abs(result_of(tmp_path / "other") / factor - result_of(tmp_path / "person"))
    assert apart.mean() < 0.01


def test_the_command_line_prints_its_table(shot, tmp_path, capsys):
    shot.save(tmp_path / "shot.npz")
    assert main(["animate", str(tmp_path / "shot.npz"), "-o", str(tmp_path / "out"), "--preset", "cloth"]) == 0
    said = capsys.readouterr().out
    assert "cloth" in said and "Gaussians" not in said and "360 vertices" in said
    assert main(["inspect", str(tmp_path / "out" / "synthetic.ani3d")]) == 0
    assert "360 vertices" in capsys.readouterr().out
    assert (tmp_path / "out" / "synthetic.png").stat().st_size > 10_000


def test_an_evaluated_layer_that_is_not_there_is_refused_at_once(shot, tmp_path):
    with pytest.raises(Ani3DError) as error:
        work(shot, tmp_path, Settings.from_dict({"preset": "cloth", "coarse": "evaluated"}))
    assert error.value.code == "shot.not_evaluated"


def test_it_can_be_cancelled(shot, tmp_path):
    reports = []
    with pytest.raises(Cancelled):
        work(shot, tmp_path, Settings.from_dict({"preset": "cloth"}), reports.append, lambda: len(reports) > 12)
    assert not (tmp_path / "synthetic.ani3d").exists()


def test_presets_begin_with_cloth_and_its_result_is_a_choice():
    assert list(PRESETS) == ["cloth", "draft", "preview", "final"]
    assert Settings.from_dict({"preset": "draft", "result": "cloth"}).result == "cloth"
    with pytest.raises(Ani3DError, match="result is 'film'"):
        Settings.from_dict({"result": "film"})


def test_nothing_of_it_loads_torch_and_nothing_before_the_first_picture_what_restores_or_plots():
    """What takes seconds to load is loaded by whoever uses it."""
    show = "print([name for name in {} if name in sys.modules]);"
    code = "import sys, ani3dhuman.pipeline.cloth_only;" + show.format(("torch",))
    code += "import ani3dhuman.pipeline.animate;" + show.format(("torch", "diffusers", "transformers", "matplotlib"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "['torch']"]


def test_it_is_the_coarse_layer(shot, tmp_path):
    from ani3d_formats.progress import Progress
    from ani3dhuman.cloth.pins import pin_weights
    from ani3dhuman.rigid import pose_rigid

    settings = Settings.from_dict({"preset": "cloth"})
    work(shot, tmp_path, settings)
    rigid = pose_rigid(shot, Progress("rigid", 1))
    layer = coarse_layer(shot, rigid, pin_weights(shot), settings.coarse, Progress("cloth", 1))
    np.testing.assert_array_equal(result_of(tmp_path), layer.vertices)
