"""`python -m benchmarks.engine.farm`: a Ray cluster of two workers on this machine, one of which is killed in mid-job.

Jobs, the frames of a film, and the windows of a sampler. Needs the extra ani3dhuman[farm]. Writes `ray_survives_kill`
(all of them end, and equal to what one process makes) into out/bench/engine.json.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.cluster_utils import Cluster

from ani3d_formats.camera import CameraPath
from ani3d_formats.frames import FrameCache, file_sha256, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress, Report
from ani3dhuman.pipeline.film import Delivery, render_shot
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.restoration import EncodedClip, RestoreConfig
from ani3dhuman.restoration.restore import sample_latents
from ani3dhuman.spread import RaySpread, spread_by
from ani3dhuman.windows import Windows

from .harness import SETTINGS, ended, fresh, hashes, running, tiny_shot
from .record import record

FRAMES = 24


def reference(folder: Path, settings: list[dict[str, object]]) -> list[dict[str, str]]:
    """The results of the same jobs without a cluster."""
    with fresh(folder) as place, running(place / "store") as engine, engine.client() as client:
        jobs = [client.submit(tiny_shot(FRAMES), each) for each in settings]
        assert [ended(client, job) for job in jobs] == ["done"] * len(jobs)
        return [hashes(client, job) for job in jobs]


class SlowPrior:
    """A prior of known answers that takes its time."""

    window = 16

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return (latents - conditions[:, :1]) / sigma

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        return white


def film(folder: Path, on_frame: Callable[[int], None] = lambda step: None) -> list[str]:
    """The hashes of a film's frames; `on_frame` is told how many samples are done."""
    rng, frames, count = np.random.default_rng(0), 24, 3000
    means = rng.uniform(-0.5, 0.5, (count, 3)) + (0, 0, 3) + 0.02 * np.arange(frames)[:, None, None]
    each = (frames, count, 1)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), each)
    colors = np.tile(rng.random((count, 3)).astype(np.float32), (frames, 1, 1))
    opacities = np.full(count, 0.9, np.float32)
    figure = GaussianFrames(
        means.astype(np.float32), quats, np.full((*each[:2], 3), 0.03, np.float32), opacities, colors
    )
    write_cache(folder / "walk.ani3d", figure, fps=24, frame_start=1)
    K = np.array([[200, 0, 96], [0, 200, 96], [0, 0, 1]], np.float32)
    cameras = CameraPath(np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), np.tile(K, (frames, 1, 1)), 192, 192)
    cache = FrameCache.open(folder / "walk.ani3d")
    listen: Callable[[Report], None] = lambda report: on_frame(report.step)  # noqa: E731
    files = render_shot(cache, cameras, 1, folder / "film", Exposure(samples=8), Delivery("png", None), listen)
    return [file_sha256(path) for path in files]


def windows(on_step: Callable[[int], None] = lambda step: None) -> torch.Tensor:
    """The latents that a sampler makes in five windows a step."""
    conditions = torch.linspace(0, 1, 48)[:, None, None, None].expand(-1, 1, 8, 8)
    encoded = EncodedClip(torch.zeros(48, 2, 8, 8), torch.zeros(48, 1, 8, 8), conditions, key="farm")
    prior: Any = SlowPrior()
    progress = Progress("windows", 100, lambda report: on_step(report.step))
    return sample_latents(prior, encoded, Windows(48, 16, 8), RestoreConfig(schedule_steps=8), progress)


def fresh_place(folder: Path) -> Path:
    for name in ("here", "there"):
        (folder / name).mkdir(parents=True)
    return folder


def parts(cluster: Cluster, place: Path) -> bool:
    """Film and windows on the cluster, a worker lost in the midst of each; whether both are as those made here."""
    good = True
    wanted = film(place / "here"), windows()
    ray.init(address=cluster.address, logging_level="warning", log_to_driver=False)
    try:
        for made in (lambda at: film(place / "there", at), windows):
            lost = [cluster.add_node(num_cpus=1)]

            def lose(step: int, lost: list = lost) -> None:
                if step > 3 and lost:
                    cluster.remove_node(lost.pop(), allow_graceful=False)
                    print("a worker is killed at step", step, flush=True)

            with spread_by(RaySpread()):
                result = made(lose)
            same = result == wanted[0] if isinstance(result, list) else torch.equal(result, wanted[1])
            print("equal" if same else "DIFFERENT", "lost" if not lost else "no worker lost", flush=True)
            good &= same and not lost
    finally:
        ray.shutdown()
    return good


def main() -> None:
    """Two jobs on two workers; one worker dies while both compute."""
    place = Path(tempfile.mkdtemp(prefix="farm-"))
    settings: list[dict[str, object]] = [{**SETTINGS, "seed": seed} for seed in range(2)]
    wanted = reference(place / "reference", settings)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
    arguments = ["--executor", "ray", "--ray-address", cluster.address, "--workers", "2"]
    try:
        with running(place / "store", *arguments) as engine, engine.client(60) as client:
            jobs = [client.submit(tiny_shot(FRAMES), each) for each in settings]
            deadline = time.monotonic() + 240
            while not all(client.status(job).step > 0 for job in jobs):
                assert time.monotonic() < deadline, [client.status(job) for job in jobs]
                time.sleep(0.05)
            print("both compute; one worker is killed", [client.status(job).stage for job in jobs], flush=True)
            cluster.remove_node(workers[0], allow_graceful=False)
            started = time.monotonic()
            ends = [ended(client, job, 300) for job in jobs]
            equal = [hashes(client, job) == hashes_ for job, hashes_ in zip(jobs, wanted, strict=True)]
            print(ends, equal, f"{time.monotonic() - started:.0f} s", flush=True)
        good = ends == ["done", "done"] and all(equal) and parts(cluster, fresh_place(place / "parts"))
        record({"ray_survives_kill": float(good), "ray_workers": 2})
    finally:
        cluster.shutdown()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
