"""`python -m benchmarks.engine.farm`: a Ray cluster of two workers on this machine, one of which is killed in mid-job.

Needs the extra ani3dhuman[farm]. Writes `ray_survives_kill` into out/bench/engine.json.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from ray.cluster_utils import Cluster

from .harness import SETTINGS, ended, fresh, hashes, running, tiny_shot
from .record import record

FRAMES = 24


def reference(folder: Path, settings: list[dict[str, object]]) -> list[dict[str, str]]:
    """The results of the same jobs without a cluster."""
    with fresh(folder) as place, running(place / "store") as engine, engine.client() as client:
        jobs = [client.submit(tiny_shot(FRAMES), each) for each in settings]
        assert [ended(client, job) for job in jobs] == ["done"] * len(jobs)
        return [hashes(client, job) for job in jobs]


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
        record({"ray_survives_kill": float(ends == ["done", "done"] and all(equal)), "ray_workers": 2})
    finally:
        cluster.shutdown()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
