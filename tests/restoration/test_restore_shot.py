"""Any prior on any shot, from the command line: a Wan of random weights in a folder, text, adapters, lack of memory."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_clip import small_clip
from synthetic import make_shot
from tiny_wan_adapter import write_adapter
from tiny_wan_repository import write_repository

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman import cli
from ani3dhuman.media.video import read_video
from ani3dhuman.models.find import find
from ani3dhuman.models.folder import model_in
from ani3dhuman.models.machine import Machine
from ani3dhuman.pipeline.restore_shot import restore_shot
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.restoration import RestoreConfig, load_compact_prior
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.restoration.conditions.scene import SceneConditions
from ani3dhuman.restoration.loading import (
    FoundPrior,
    Plans,
    PriorRequest,
    find_prior,
    plans,
    restore_within_memory,
)
from ani3dhuman.storage.frames_on_disk import FrameFile

FRAMES, WIDTH, HEIGHT = 5, 70, 102  # neither size is a multiple of 16
SMALL = {"preset": "draft", "gaussians": 1500, "render_scale": 1.0, "sampling_steps": 3}


@pytest.fixture(scope="module")
def shot() -> Shot:
    return make_shot(FRAMES, width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-wan"
    write_repository(path)
    return path


@pytest.fixture(autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path_factory.getbasetemp() / "models_root"
    monkeypatch.setenv("ANI3DHUMAN_MODELS", str(root))
    return root


def report_of(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def test_the_command_restores_a_shot_by_a_wan_in_a_folder(
    shot: Shot, folder: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shot.save(tmp_path / "shot.npz")
    overrides = ["gaussians=1500", "render_scale=1.0", "sampling_steps=3", "prompt=a walk"]
    arguments = ["restore", str(tmp_path / "shot.npz"), "-o", str(tmp_path / "out"), "--preset", "draft"]
    arguments += ["--prior", str(folder), "--coarse", "rigid"]
    assert cli.main(arguments + [a for o in overrides for a in ("--set", o)]) == 0
    assert "prior wan-vace" in capsys.readouterr().out
    out = tmp_path / "out"
    frames = read_video(out / "videos" / "restored.mp4")
    assert len(frames) == FRAMES and len(read_video(out / "videos" / "coarse.mp4")) == FRAMES
    note = report_of(out)["notes"]["restoration"]
    assert note["device"] == ("cuda" if torch.cuda.is_available() else "cpu") and note["prompt"] == "a walk"
    assert note["steps"] == 2 and note["model"] == str(folder)
    assert "text encoder first" in note["memory"]
    assert list((models / "prompts").glob("prompt-*.safetensors")), "embeddings are kept beside the models"
    assert (out / "conditions.png").stat().st_size > 1000
    assert not (out / ".work").joinpath("refine.checkpoint").exists()


def test_what_a_wan_is_told_changes_what_it_makes_and_nothing_before(shot: Shot, folder: Path, tmp_path: Path) -> None:
    def restored(**changes: Any) -> tuple[np.ndarray, list[str]]:
        settings = Settings.from_dict({**SMALL, "prior": str(folder), "coarse": "rigid", "prompt": "a walk", **changes})
        out = restore_shot(shot, tmp_path / "out", settings)
        (stage,) = (out / ".work").glob("restore-*")
        return np.asarray(FrameFile.open(stage / "rgb.frames")), report_of(out)["reused"]

    cv2.imwrite(str(tmp_path / "face.png"), np.full((40, 30, 3), 200, np.uint8))
    first, _ = restored()
    assert first.shape == (FRAMES, HEIGHT, WIDTH, 3)
    again, reused = restored()
    np.testing.assert_array_equal(again, first)
    assert "restore" in reused
    changes: list[dict[str, Any]] = [
        {"prompt": "a dance"},
        {"negative_prompt": "rain"},
        {"control": "depth"},
        {"reference": str(tmp_path / "face.png")},
        {"reference": "bind"},
        {"text_guidance": 1.0},
    ]
    seen = [first]
    for change in changes:
        picture, reused = restored(**change)
        assert "render_coarse" in reused and "restore" not in reused, change
        assert all((picture != other).any() for other in seen), change
        seen.append(picture)


def test_a_step_cache_is_measured_where_that_is_asked_for(shot: Shot, folder: Path, tmp_path: Path) -> None:
    settings = Settings.from_dict(
        {**SMALL, "prior": str(folder), "prompt": "a", "sampling_steps": 6, "step_cache": 2, "measure_cache": True}
    )
    note = report_of(restore_shot(shot, tmp_path, settings))["notes"]["restoration"]
    assert note["steps"] == 4 and len(note["step_cache_error"]) == 4
    assert note["step_cache_error"][:2] == [0.0, 0.0] and max(note["step_cache_error"]) > 0


def test_an_adapter_sets_steps_and_guidance(shot: Shot, folder: Path, models: Path, tmp_path: Path) -> None:
    place = models / "causvid-1.3b"
    place.mkdir(parents=True, exist_ok=True)
    write_adapter(place / find("causvid-1.3b").files[0].path, 0)
    settings = Settings.from_dict({**SMALL, "prior": str(folder), "prompt": "a", "adapter": "causvid-1.3b"})
    note = report_of(restore_shot(shot, tmp_path, settings))["notes"]["restoration"]
    assert (note["steps"], note["guidance"], note["adapter"]) == (4, 1.0, "causvid-1.3b")


def test_a_folder_is_counted_without_reading_it(folder: Path) -> None:
    model = model_in(folder)
    pipeline = write_repository(folder.parent / "again")
    for name in ("transformer", "text_encoder", "vae"):
        assert model.count(name) == sum(p.numel() for p in getattr(pipeline, name).parameters())
    assert model.transformer is not None and model.transformer.vace == 1
    assert find(str(folder)) == model


def test_a_prior_that_was_trained_at_home_restores(shot: Shot, tmp_path: Path) -> None:
    torch.manual_seed(0)
    DisplacementNet(widths=(8, 8, 8), depths=(1, 1, 1)).save_pretrained(tmp_path / "mine")
    settings = Settings.from_dict({**SMALL, "prior": str(tmp_path / "mine")})
    first = report_of(restore_shot(shot, tmp_path / "out", settings))
    assert first["notes"]["restoration"]["offset_mean_cm"] < 2, "untrained, it moves little"
    assert find(str(tmp_path / "mine")).pipeline == "DisplacementNet"
    torch.manual_seed(1)
    DisplacementNet(widths=(8, 8, 8), depths=(1, 1, 1)).save_pretrained(tmp_path / "mine")
    assert "restore" not in report_of(restore_shot(shot, tmp_path / "out", settings))["reused"], "it was trained on"
    (tmp_path / "mine" / "config.json").write_text("{}")
    with pytest.raises(Ani3DError, match="mine") as caught:
        find(str(tmp_path / "mine"))
    assert caught.value.code == "models.folder"


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(Ani3DError, match=str(tmp_path)) as caught:
        find(str(tmp_path))
    assert caught.value.code == "models.folder"


@pytest.mark.parametrize(
    ("name", "adapter", "code", "said"),
    [
        ("wan2.1-vace-1.3b", "", "models.missing", "ani3dhuman models fetch wan2.1-vace-1.3b"),
        ("causvid-1.3b", "", "models.not_a_prior", "models list"),
        ("compact", "causvid-1.3b", "models.wrong_base", "wan2.1-vace-1.3b"),
    ],
)
def test_what_cannot_be_loaded_says_what_to_do(name: str, adapter: str, code: str, said: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        find_prior(name, adapter)
    assert caught.value.code == code and said in caught.value.message + caught.value.hint


def test_a_missing_model_is_told_before_anything_is_computed(shot: Shot, tmp_path: Path) -> None:
    settings = Settings.from_dict({**SMALL, "prior": "wan2.1-vace-1.3b"})
    with pytest.raises(Ani3DError) as caught:
        restore_shot(shot, tmp_path, settings)
    assert caught.value.code == "models.missing" and not (tmp_path / ".work").exists()
    with pytest.raises(Ani3DError, match="nobody"):
        restore_shot(shot, tmp_path, Settings.from_dict({**SMALL, "reference": "nobody.png"}))
    for wrong, code in (({"prior": "nowhere"}, "settings.value"), ({"keypoint_map": "nowhere.json"}, "keypoints.file")):
        with pytest.raises(Ani3DError, match="nowhere") as caught:
            restore_shot(shot, tmp_path, Settings.from_dict({**SMALL, **wrong}))
        assert caught.value.code == code and not (tmp_path / ".work").exists()


def test_a_model_that_nothing_here_runs_says_so() -> None:
    other = replace(find("compact"), name="other", loader=None, pipeline="AnotherPipeline")
    wanted = PriorRequest(FoundPrior(other, Path()), small_clip(4, 200), untold, machine())
    with pytest.raises(Ani3DError, match="AnotherPipeline"):
        next(plans(wanted))()


def untold() -> SceneConditions:
    raise AssertionError("this prior does not look at the scene")


def machine(memory_gb: float = 1000.0) -> Machine:
    return Machine("3.11", "Linux", torch.__version__, (), "", memory_gb, 0.0, {})


HEAVY_LOADS: list[int] = []


class Forgetful:
    """The compact prior, which runs out of memory in its second step unless it is loaded leaner."""

    def __init__(self, leaner: int) -> None:
        self.inner, self.leaner, self.calls = load_compact_prior(), leaner, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.leaner == 0 and self.calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.inner.velocity(latents, sigma, conditions)


def heavy(wanted: PriorRequest) -> Plans:
    for leaner in range(5):
        HEAVY_LOADS.append(leaner)
        yield partial(Forgetful, leaner)


def test_out_of_memory_goes_on_leaner_from_the_last_step(tmp_path: Path) -> None:
    clip, config = small_clip(6, 400), RestoreConfig(strength=1.0, schedule_steps=3)
    model = replace(find("compact"), loader=f"{__name__}:heavy")
    wanted = PriorRequest(FoundPrior(model, Path()), clip, untold, machine())
    reports: list[Any] = []
    HEAVY_LOADS.clear()
    progress = Progress("restore", 1, reports.append)
    result = restore_within_memory(wanted, config, progress, tmp_path / "kept.checkpoint")
    assert HEAVY_LOADS == [0, 1]
    said = [r.message for r in reports if r.message]
    assert any("memory ran out" in text for text in said) and any("after step 1" in text for text in said)
    whole = restore_within_memory(replace(wanted, found=find_prior("compact")), config)
    np.testing.assert_array_equal(result.frames, whole.frames)


def test_a_wan_that_no_plan_fits_is_refused_before_it_is_loaded(folder: Path) -> None:
    clip = small_clip(5, 200)
    size = (5, clip.cameras.height, clip.cameras.width)
    made = SceneConditions(
        np.zeros((*size, 3), np.uint8), "pose", np.zeros(size, np.float32), np.zeros((*size[1:], 3), np.uint8), "a", ""
    )
    wanted = PriorRequest(find_prior(str(folder)), clip, lambda: made, machine(memory_gb=0.0001))
    with pytest.raises(Ani3DError) as caught:
        next(plans(wanted))()
    assert caught.value.code == "models.memory"
    with pytest.raises(Ani3DError) as caught:
        list(plans(replace(wanted, machine=machine())))
    assert caught.value.code == "models.memory", "nothing is leaner than the plan for the CPU"
