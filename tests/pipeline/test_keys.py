"""What names a stage's result: all that it reads, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from human_rig import human_shot
from pictures_only import pictures_only
from synthetic import make_shot

from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.clip import CoarseClip
from ani3dhuman.pipeline import keys
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.keys import READS
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pose.keypoints import map_keypoints
from ani3dhuman.restoration.conditions.reference import canonical_reference
from ani3dhuman.restoration.conditions.scene import scene_conditions
from ani3dhuman.storage.stage_store import StageStore

SMALL = Settings.from_dict(
    {"preset": "draft", "gaussians": 1500, "refine_steps": 12, "refine_height": 96, "sampling_steps": 2}
)
FIRST = {"avatar", "rigid", "cloth", "render_rigid"}
ALL = {*FIRST, "render_coarse", "restore", "refine", "render_refined"}


class Recorded(dict[str, np.ndarray]):
    """Arrays of a shot that note who reads them."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self.stage = ContextVar("stage", default="")  # stages may run side by side
        self.read: dict[str, set[str]] = defaultdict(set)

    def __getitem__(self, name: str) -> np.ndarray:
        self.read[self.stage.get()].add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read[self.stage.get()].add(name)
        return super().get(name, default)


def reused(out: Path) -> set[str]:
    return set(json.loads((out / "report.json").read_text())["reused"])


@pytest.fixture(scope="module")
def shot() -> Shot:
    return make_shot(5, width=72, height=120)


@pytest.fixture(scope="module")
def out(shot: Shot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return animate(shot, tmp_path_factory.mktemp("keys"), SMALL)


def with_array(shot: Shot, name: str, values: np.ndarray) -> Shot:
    return replace(shot, arrays={**shot.arrays, name: values.astype(np.float32)})


def with_frame_rate(shot: Shot) -> Shot:
    return replace(shot, meta=replace(shot.meta, fps=30.0))


@pytest.mark.parametrize(
    ("change", "settings", "kept"),
    [
        (lambda shot: with_array(shot, "sun_colors", 1.1 * shot["sun_colors"]), {}, {"avatar", "rigid", "cloth"}),
        (lambda shot: with_array(shot, "background", 0.5 * shot["background"]), {}, {"avatar", "rigid", "cloth"}),
        (
            lambda shot: with_array(shot, "viewmats", shot["viewmats"] + 0.1 * np.eye(4, k=3)),
            {},
            FIRST - {"render_rigid"},
        ),
        (lambda shot: with_array(shot, "vertex_tints", 0.9 * shot["vertex_tints"]), {}, {"rigid", "cloth"}),
        (with_frame_rate, {}, {"avatar", "rigid", "render_rigid"}),
        (lambda shot: shot, {"fabric": "silk"}, {"avatar", "rigid", "render_rigid"}),
        (lambda shot: shot, {"strength": 0.5}, {*FIRST, "render_coarse"}),
        (lambda shot: shot, {"refine_steps": 13}, ALL),
        (lambda shot: shot, {"rounds": 2}, {*FIRST, "render_coarse", "restore"}),
        (lambda shot: shot, {"prompt": "the compact prior reads none"}, ALL),
    ],
    ids=["sun", "background", "camera", "tint", "frame rate", "fabric", "strength", "steps", "rounds", "prompt"],
)
def test_a_change_does_again_what_depends_on_it(
    shot: Shot, out: Path, tmp_path: Path, change: Any, settings: dict[str, Any], kept: set[str]
) -> None:
    shutil.copytree(out / ".work", tmp_path / ".work")
    animate(change(shot), tmp_path, SMALL.changed(**settings))
    same = {"render_refined"}  # drawn anew only where other vertices came out
    assert reused(tmp_path) - same == kept - same


def test_stages_read_no_array_that_their_key_does_not_hold(
    shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = Recorded(shot.arrays)
    run = StageStore.run

    def watched(store: StageStore, stage: str, key: str, kind: Any, compute: Any) -> Any:
        def inside() -> Any:
            before = arrays.stage.set(stage)
            try:
                return compute()
            finally:
                arrays.stage.reset(before)

        return run(store, stage, key, kind, inside)

    monkeypatch.setattr(StageStore, "run", watched)
    with pictures_only():
        animate(replace(shot, arrays=arrays), tmp_path, SMALL)
    for stage in ("avatar", "rigid", "cloth", "refine"):
        assert arrays.read[stage] and arrays.read[stage] <= set(READS[stage]), stage
    assert not any(arrays.read[stage] for stage in ("render_rigid", "render_coarse", "restore", "render_refined"))


@pytest.mark.parametrize("make", [lambda: make_shot(2, width=96, height=160), lambda: human_shot(size=(96, 128))])
def test_conditions_read_no_array_that_their_key_does_not_hold(make: Any) -> None:
    shot = make()
    rigid = np.repeat(shot["vertices"][None], 2, 0)
    clip = CoarseClip.of_shot(shot, avatar_from_shot(shot, 500), rigid, np.zeros(len(shot["vertices"])))
    arrays = Recorded(shot.arrays)
    seen = replace(shot, arrays=arrays)
    for kind in ("pose", "depth", "normal"):
        scene_conditions(seen, clip.cameras, clip.coarse_pictures(), kind=kind)  # type: ignore[arg-type]
    canonical_reference(seen, clip.avatar, map_keypoints(seen).forward, 32, 32)
    known = {name for stage in ("conditions", "restore", "render") for name in READS[stage]}
    assert arrays.read[""] <= known | {"viewmats", "Ks"}


def test_another_version_of_a_stages_code_computes_it_again(
    shot: Shot, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(out / ".work", tmp_path / ".work")
    monkeypatch.setitem(keys.METHODS, "limits", keys.METHODS["limits"] + 1)
    animate(shot, tmp_path, SMALL)
    assert reused(tmp_path) >= {*FIRST, "render_coarse"} and not {"restore", "refine"} & reused(tmp_path)
    monkeypatch.setitem(keys.METHODS, "cloth", keys.METHODS["cloth"] + 1)
    animate(shot, tmp_path, SMALL)
    assert {"avatar", "rigid", "render_rigid"} <= reused(tmp_path) and "cloth" not in reused(tmp_path)
