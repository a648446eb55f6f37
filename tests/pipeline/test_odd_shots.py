"""Where a stage has nothing to work on, the job does what is left, ends well, and says so in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_shots import KINDS, odd_shot

from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Report
from ani3d_formats.shot import Shot
from ani3dhuman import cli
from ani3dhuman.media.video import read_video
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.restore_shot import restore_shot
from ani3dhuman.pipeline.settings import Settings

QUICK: dict[str, Any] = {
    "preset": "draft",
    "gaussians": 300,
    "render_scale": 1.0,
    "sampling_steps": 2,
    "refine_steps": 3,
    "refine_height": 48,
}
NO_CLOTH = "This character has no garment and no hair: there is nothing to restore or refine."
UNSEEN = "No frame shows the character: there is nothing to restore or refine."
CLOTH_UNSEEN = "No frame shows garment or hair: there is nothing to restore or refine."
SAID = {
    "nothing_loose": NO_CLOTH,
    "a_single_loose_vertex": NO_CLOTH,
    "one_face": NO_CLOTH,
    "cloth_without_area": NO_CLOTH,
    "behind_the_camera": UNSEEN,
    "beside_the_picture": UNSEEN,
    "cloth_above_the_picture": CLOTH_UNSEEN,
}
WAYS: dict[str, dict[str, Any]] = {
    "physics": {},
    "rigid": {"coarse": "rigid"},
    "evaluated": {"coarse": "evaluated", "repair": True},
    "rounds": {"rounds": 2, "appearance": True},
}


def run(kind: str, out: Path, **changes: Any) -> tuple[dict[str, Any], list[Report]]:
    """The report of a finished job, and what it told on the way."""
    told: list[Report] = []
    animate(odd_shot(kind), out, Settings.from_dict({**QUICK, **changes}), told.append)
    return json.loads((out / "report.json").read_text()), told


def layers(shot: Shot, out: Path) -> np.ndarray:
    """(T,V,3) vertices of the result."""
    meshes = FrameCache.open(out / f"{shot.name}.ani3d").meshes()
    return np.concatenate([meshes[item.name].vertices for item in shot.meta.objects], axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_job_ends_well_with_all_files(kind: str, tmp_path: Path) -> None:
    shot = odd_shot(kind)
    report, told = run(kind, tmp_path)
    for layer in ("rigid", "coarse", "restored", "refined", "side_by_side"):
        assert len(read_video(tmp_path / "videos" / f"{layer}.mp4")) == shot.frames
    for name in ("contact_sheet.png", "conditions.png"):
        assert (tmp_path / name).stat().st_size > 100
    FrameCache.open(tmp_path / "synthetic.ani3d").verify()
    assert np.isfinite(layers(shot, tmp_path)).all()
    if kind in SAID:
        assert report["notes"]["refinement"] == SAID[kind]
        assert {SAID[kind]} == {r.message for r in told if r.stage in ("restore", "refine") and r.message}


@pytest.mark.parametrize("way", [way for way in WAYS if way != "physics"])
@pytest.mark.parametrize("kind", [*SAID, "all_pinned", "without_size", "no_body"])
def test_it_does_so_for_every_coarse_layer_and_for_rounds(kind: str, way: str, tmp_path: Path) -> None:
    report, _ = run(kind, tmp_path, **WAYS[way])
    assert report["hem_amplitude_cm"].keys() == {"rigid", "coarse", "refined"}
    if kind in SAID:
        assert report["notes"]["refinement"] == SAID[kind]


@pytest.mark.parametrize("kind", ["nothing_loose", "all_pinned", "standing_still"])
def test_what_is_held_stays_with_the_skeleton(kind: str, tmp_path: Path) -> None:
    shot = odd_shot(kind)
    report, _ = run(kind, tmp_path)
    held = shot["region_ids"] < 2 if kind == "standing_still" else np.ones(len(shot["vertices"]), bool)
    blended = np.einsum("vk,tkij->tvij", shot["weight_values"], shot.skinning_transforms())
    skinned = np.einsum("tvij,vj->tvi", blended[..., :3, :3], shot["vertices"]) + blended[..., :3, 3]
    np.testing.assert_allclose(layers(shot, tmp_path)[:, held], skinned[:, held], atol=1e-5)
    if kind == "all_pinned":
        assert report["notes"]["refinement"] == "All garment and hair is held to the body: there is nothing to refine."


def test_restoring_alone_says_it_too_and_leaves_the_pictures_as_they_are(tmp_path: Path) -> None:
    restore_shot(odd_shot("nothing_loose"), tmp_path, Settings.from_dict(QUICK))
    note = json.loads((tmp_path / "report.json").read_text())["notes"]["restoration"]
    assert note == {"prior": "none", "left out": NO_CLOTH}
    coarse, restored = (read_video(tmp_path / "videos" / f"{name}.mp4") for name in ("coarse", "restored"))
    np.testing.assert_array_equal(coarse, restored)


def test_the_command_line_prints_it_and_films_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shot, out = tmp_path / "shot.npz", tmp_path / "out"
    odd_shot("behind_the_camera").save(shot)
    overrides = [f"--set={name}={value}" for name, value in QUICK.items() if name != "preset"]
    assert cli.main(["animate", str(shot), "-o", str(out), "--preset", "draft", *overrides]) == 0
    assert UNSEEN in capsys.readouterr().out
    film = ["render", str(out / "synthetic.ani3d"), "--shot", str(shot), "-o", str(out / "film"), "--samples", "2"]
    assert cli.main([*film, "--format", "png"]) == 0
    assert len(list((out / "film").iterdir())) == 3
