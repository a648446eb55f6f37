"""The dress as bare Gaussians: points sampled on it, the body as points too, judged against the body's mesh."""

from __future__ import annotations

import time

import numpy as np

from ani3dhuman.motion.constraints import PINNED
from ani3dhuman.motion.control_nodes import ControlNodes
from ani3dhuman.motion.fabrics import FABRICS
from ani3dhuman.motion.obstacle import Obstacle
from ani3dhuman.motion.point_cloth import body_of_points, simulate_points

from .scene import FPS, Dressed

POINTS = 20_000
NODES = (256, 800, 2000)
EVERY = 8  # frames between those that penetration is measured in


def point_figures(person: Dressed, skinned: np.ndarray, fabric: str) -> dict[str, float]:
    """Flat figures for each number of nodes over a clip (T,V,3); seconds of the processor include nodes and posing."""
    own = person.regions == 3
    faces = person.faces[(person.regions[person.faces] == 3).all(1)]
    rng = np.random.default_rng(0)
    corners, shares = faces[rng.integers(0, len(faces), POINTS)], rng.dirichlet([1, 1, 1], POINTS)
    rest = np.einsum("nk,nkd->nd", shares, person.vertices[corners])
    path = np.einsum("nk,tnkd->tnd", shares, skinned[:, corners]).astype(np.float32)
    pins = (shares * person.pins[corners]).sum(1)
    mesh = Obstacle.of_faces(skinned, person.faces[(person.regions[person.faces] == 0).all(1)])
    assert mesh is not None
    busy = time.process_time()
    body = body_of_points(skinned[:, ~own], person.vertices[~own])
    results = {"points_body_cpu_seconds": time.process_time() - busy}
    simulate_points(path[:2], rest, pins, None, FPS, FABRICS[fabric], NODES[0])  # compiles, where that is not done
    for count in NODES:
        busy = time.process_time()
        means, _ = simulate_points(path, rest, pins, body, FPS, FABRICS[fabric], count)
        results[f"points_{count}_cpu_seconds"] = time.process_time() - busy
        nodes = ControlNodes.from_points(rest, count)
        a, b = nodes.indices[nodes.edges].T
        ratios = np.linalg.norm(means[:, a] - means[:, b], axis=2) / np.linalg.norm(rest[a] - rest[b], axis=1)
        frames = range(0, len(means), EVERY)
        depths = 1000 * np.stack([np.maximum(-mesh.heights(t, means[t, pins < PINNED]), 0) for t in frames])
        results[f"points_{count}_edge_p99"] = float(np.percentile(ratios, 99))
        results[f"points_{count}_penetration_free_p99_mm"] = float(np.percentile(depths, 99))
        results[f"points_{count}_penetration_free_max_mm"] = float(depths.max())
    return results
