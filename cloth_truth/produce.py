"""Make one sequence from start to end: plan, simulate in a Blender process, check, draw, publish its folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats import atomic
from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.pc2 import write_pc2
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.clip import CoarseClip
from ani3dhuman.media.video import VideoWriter
from ani3dhuman.models.store import sha256_of
from ani3dhuman.pose.keypoints import map_keypoints
from ani3dhuman.pose.video import pose_video

from .character import FRAMES, PREROLL, Planned, plan, solver_input
from .checks import judge, measure
from .pools import BVH, Recipe
from .retarget import bvh_path
from .sequences import GAUSSIANS, LayerMaps, draw_layer

ROOT = Path(__file__).resolve().parents[1]
BLENDER_PYTHON = ROOT / ".venv-blender" / "bin" / "python"


class SolverFailed(RuntimeError):
    """Blender reported an error on one sequence, or died of it; the next one gets a fresh process."""


class Simulator:
    """A Blender process that simulates one folder after the other; started at the first, ended by `close`."""

    def __init__(self, python: Path = BLENDER_PYTHON) -> None:
        """`python` has bpy. Raises `Ani3DError` ``cloth_truth.blender`` when it does not exist."""
        if not python.exists():
            raise Ani3DError("cloth_truth.blender", f"There is no {python}.", "Run `make .venv-blender/.ready` first.")
        self.python = python
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, folder: Path) -> float:
        """Simulate a folder with `solver_input.npz`; returns seconds. Raises `SolverFailed`."""
        if self._process is None or self._process.poll() is not None:
            # a session of its own: Ctrl-C reaches this program alone, which then ends Blender by closing its input
            self._process = subprocess.Popen(
                [str(self.python), "-m", "cloth_truth.simulate"], cwd=ROOT,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # a process that died answers nothing, below
            self._process.stdin.write(f"{folder.resolve()}\n")
            self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the process ended"}')
        if "error" in answer:
            raise SolverFailed(str(answer["error"]))
        return float(answer["seconds"])

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def produce(
    recipe: Recipe,
    root: Path,
    simulator: Simulator,
    frames: int = FRAMES,
    preroll: int = PREROLL,
    detail: float = 1.0,
    bvh: Path | None = None,
) -> str | None:
    """Make a sequence's folder `root/NAME`, or `root/dropped/NAME.json` when its simulation is no good.

    What is there already is kept. The folder appears whole, by one rename. `bvh` is the folder of the BVH
    file that the recipe's motion may name.

    Returns:
        Why it was dropped, or None when it was kept.
    """
    folder, dropped = root / recipe.name, root / "dropped" / f"{recipe.name}.json"
    if (folder / "sequence.json").is_file():
        return None
    if dropped.is_file():
        return str(json.loads(dropped.read_text())["dropped"])
    began = time.perf_counter()
    work = root / f".{recipe.name}.partial"
    work.mkdir(parents=True, exist_ok=True)
    planned = plan(recipe, frames, preroll, detail, bvh)
    source = {"bvh": _source(recipe, bvh)} if recipe.motion.startswith(BVH) else {}
    if not (work / "solver_output.npz").exists():
        np.savez(work / "solver_input.npz", **solver_input(planned, recipe.fabric))  # type: ignore[arg-type]
    try:
        simulator(work)
    except SolverFailed as failure:
        return _drop(dropped, work, {"recipe": recipe.as_json(), **source}, f"the solver failed: {failure}")
    with np.load(work / "solver_output.npz") as file:
        solved = [file[f"vertices_{i}"] for i in range(len(planned.parts))]
        seconds = {"simulate": round(float(file["seconds"]), 2)}
    figures, reason = check(planned, solved)
    about: dict[str, Any] = {"recipe": recipe.as_json(), **source, "figures": figures, "seconds": seconds}
    if reason is not None:
        return _drop(dropped, work, about, reason)
    publish(planned, solved, work, about, began)
    atomic.publish(work, folder)
    return None


def _source(recipe: Recipe, bvh: Path | None) -> dict[str, str]:
    """Which BVH file moves the character."""
    return {"file": recipe.motion.removeprefix(BVH), "sha256": sha256_of(bvh_path(recipe.motion, bvh))}


def _drop(record: Path, work: Path, about: dict[str, Any], reason: str) -> str:
    """Write down why a sequence was dropped, and remove what was made of it."""
    record.parent.mkdir(exist_ok=True)
    write_json(record, about | {"dropped": reason})
    shutil.rmtree(work)
    return reason


def check(planned: Planned, solved: list[np.ndarray]) -> tuple[dict[str, float], str | None]:
    """Figures of the clip, pre-roll left out, and why it is dropped if it is."""
    seen = slice(planned.preroll, None)
    starts = planned.starts
    rigid = [planned.rigid[seen, a:b] for a, b in pairwise(starts)]
    used, quads = np.unique(planned.body.quads[planned.body.faces_out], return_inverse=True)
    figures = measure(
        list(planned.parts), [s[seen] for s in solved], rigid, planned.rigid[seen][:, used], quads.reshape(-1, 4)
    )
    return figures.as_json(), judge(figures)


def publish(planned: Planned, solved: list[np.ndarray], work: Path, about: dict[str, Any], began: float) -> None:
    """Write shot, truth, videos, maps and sequence.json into `work`, and remove what only the solver needed."""
    shot = planned.shot
    rigid = planned.rigid[planned.preroll :]
    truth = rigid.copy()
    truth[:, planned.starts[0] :] = np.concatenate([s[planned.preroll :] for s in solved], axis=1)
    np.savez_compressed(work / "shot.npz", **shot.to_arrays())  # type: ignore[arg-type]
    write_pc2(work / "truth.pc2", truth, 1)
    clip = CoarseClip.of_shot(shot, avatar_from_shot(shot, GAUSSIANS, DETAIL), rigid, shot["pin_weights"])
    arrays: dict[str, np.ndarray] = {}
    for layer, vertices in {"truth": truth, "coarse": rigid}.items():
        pictures, maps = draw_layer(clip, clip.pose(vertices))
        _write_video(work / f"{layer}.mp4", pictures, clip.fps)
        arrays |= _small(layer, maps)
    _write_video(work / "skeleton.mp4", pose_video(shot, map_keypoints(shot), shot.cameras), clip.fps)
    np.savez_compressed(work / "maps.npz", **arrays)  # type: ignore[arg-type]
    for name in ("solver_input.npz", "solver_output.npz"):
        (work / name).unlink(missing_ok=True)
    about["seconds"]["total"] = round(time.perf_counter() - began, 2)
    about["vertices"] = {part.name: len(part.vertices) for part in planned.parts} | {"body": len(planned.body.vertices)}
    about["files"] = {path.name: sha256_of(path) for path in sorted(work.iterdir()) if path.name != "sequence.json"}
    write_json(work / "sequence.json", about)


def _small(layer: str, maps: LayerMaps) -> dict[str, np.ndarray]:
    return {f"{layer}_regions": maps.regions, f"{layer}_depth": maps.depth}


def _write_video(path: Path, pictures: np.ndarray, fps: float) -> None:
    with VideoWriter(path, pictures.shape[2], pictures.shape[1], fps) as writer:
        for picture in pictures:
            writer.write(picture)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically."""
    write_bytes(path, json.dumps(content, indent=1).encode())
