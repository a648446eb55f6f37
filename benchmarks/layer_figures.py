"""What a layer of a shot does to its cloth: how deep it lies in the body, how edges stretch, how far the hem swings.

    python -m benchmarks.layer_figures SHOT.npz VERTICES.npy ...

Each file holds vertices (T,V,3) in world metres, as a job keeps them under `.work/STAGE-KEY/vertices.npy`. Depths are
those of `mesh.signed_distance`, which is exact and no part of what moves the cloth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.mesh.topology import edges_of
from ani3dhuman.pipeline.amplitude import motion_amplitude


def layer_figures(shot: Shot, vertices: np.ndarray) -> dict[str, float]:
    """Figures of a layer (T,V,3) over all its frames and vertices that may move: millimetres, ratios, centimetres."""
    pins, loose = pin_weights(shot), is_loose(shot["region_ids"])
    faces = shot["faces"].astype(np.int64)
    moving = loose & (pins < 1)
    heights = 1000 * signed_distances(vertices[:, moving], vertices, faces[~loose[faces].any(1)])
    depths = np.maximum(-heights, 0)
    edges = edges_of(faces[moving[faces].any(1)])
    layers = (shot["vertices"], vertices)
    rest, now = (np.linalg.norm(v[..., edges[:, 0], :] - v[..., edges[:, 1], :], axis=-1) for v in layers)
    return {
        "depth_p99_mm": float(np.percentile(depths, 99)),
        "depth_max_mm": float(depths.max()),
        "depth_sum_mm": float(depths.sum()),
        "nearer_than_3mm": float((heights < 3).sum()),
        "stretch_p99": float(np.percentile(now / rest, 99)),
        "stretch_max": float((now / rest).max()),
        "hem_cm": motion_amplitude(shot, vertices, pins),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shot", type=Path)
    parser.add_argument("layers", type=Path, nargs="+")
    options = parser.parse_args()
    shot = Shot.load(options.shot)
    for file in options.layers:
        found = layer_figures(shot, np.load(file))
        print(json.dumps({"layer": file.parent.name, **{name: round(value, 3) for name, value in found.items()}}))


if __name__ == "__main__":
    main()
