"""Through a real engine with the real job: a second job does only what its change asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine_process import Engine, running_engine, wait_for
from synthetic import make_shot

SMALL = {"preset": "draft", "gaussians": 1500, "refine_steps": 12, "refine_height": 96, "sampling_steps": 2}
FIRST = {"avatar", "rigid", "cloth", "render_rigid", "render_coarse"}
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory):
    with running_engine(tmp_path_factory.mktemp("real") / "store", real=True) as running:
        run(running, lambda arrays: arrays, {})
        yield running


def run(engine: Engine, change: Callable[[Arrays], Arrays], settings: dict[str, object]) -> set[str]:
    """The stages that a job with a change found finished."""
    with engine.client(30) as client:
        job = client.submit(change(make_shot(5, width=72, height=120).to_arrays()), {**SMALL, **settings})
        wait_for(lambda: client.status(job).state in ("done", "failed"), 300)
        assert client.status(job).error is None
        path = client.fetch(job, "report.json", engine.store.parent / f"{job}.json")
    return set(json.loads(path.read_text())["reused"])


def times(name: str, factor: float) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: (factor * arrays[name]).astype(np.float32)}


def moved_camera(arrays: Arrays) -> Arrays:
    views = arrays["viewmats"].copy()
    views[:, 2, 3] += 0.1
    return {**arrays, "viewmats": views}


def renamed(arrays: Arrays) -> Arrays:
    meta = json.loads(str(arrays["meta"][()]))
    return {**arrays, "meta": np.array(json.dumps({**meta, "name": "other"}))}


@pytest.mark.parametrize(
    ("change", "settings", "kept"),
    [
        (renamed, {}, {*FIRST, "restore", "refine"}),
        (moved_camera, {}, {"avatar", "rigid", "cloth"}),
        (lambda arrays: arrays, {"fabric": "silk"}, {"avatar", "rigid", "render_rigid"}),
        (times("sun_colors", 1.1), {}, {"avatar", "rigid", "cloth"}),
        (lambda arrays: arrays, {"refine_steps": 13}, {*FIRST, "restore", "refine"}),
        (lambda arrays: arrays, {"appearance": True}, {*FIRST, "restore"} - {"render_coarse"}),  # all of it is needed
        (lambda arrays: arrays, {"prompt": "the compact prior reads none"}, {*FIRST, "restore", "refine"}),
    ],
    ids=["name", "camera", "fabric", "sun", "steps of a fit that is not done", "appearance", "prompt"],
)
def test_a_job_goes_on_from_stages_of_others(engine, change, settings, kept):
    # the refined layer is drawn anew only where other vertices came out
    assert run(engine, change, settings) - {"render_refined"} == kept
    assert not list(engine.store.glob("jobs/*/out/.work/*-*")), "stages lie in the shared folder alone"


def test_the_command_line_goes_on_from_an_engines_stages(engine, tmp_path: Path, capsys):
    from ani3dhuman.cli import main

    make_shot(5, width=72, height=120).save(tmp_path / "shot.npz")
    settings = [word for name, value in SMALL.items() if name != "preset" for word in ("--set", f"{name}={value}")]
    stages = engine.store / "stages"
    words = ["animate", str(tmp_path / "shot.npz"), "-o", str(tmp_path / "out"), "--preset", "draft", *settings]
    assert main([*words, "--stages", str(stages)]) == 0, capsys.readouterr().err
    assert {*FIRST, "restore", "refine"} <= set(json.loads((tmp_path / "out" / "report.json").read_text())["reused"])


def test_stages_are_for_the_owner_alone(engine):
    assert (engine.store / "stages").stat().st_mode & 0o077 == 0
