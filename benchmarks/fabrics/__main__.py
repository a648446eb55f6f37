"""Drape all fabrics, and the best known ones on meshes of any spacing; write out/bench/fabrics.json and a picture.

python -m benchmarks.fabrics [--out out/bench]

`drape_*` are Cusick's coefficients in per cent on unstructured triangles of 10 mm, `bending_length_*_cm` Peirce's
lengths; `drape_spread_points` is how far the coefficients of one fabric lie apart on meshes of 5, 10, 20 and 30 mm, in
rings and unstructured, in the worst of four fabrics; `drape_spread_to_20mm_points` the same without 30 mm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ani3dhuman.cloth.fabrics import FABRICS

from .laboratory import Drape, bending_length, drape
from .pictures import Specimen, sheet
from .specimens import disc_of_rings, disc_unstructured

OUT = Path(__file__).resolve().parents[2] / "out" / "bench"
KNOWN = {
    "silk": (20, 40),
    "cotton": (60, 76),
    "wool": (40, 70),
    "denim": (70, 90),
    "leather": (47, 70),
}  # per cent, published
ON_ALL_MESHES = ("silk", "cotton", "wool", "denim")
SPACINGS = (0.005, 0.01, 0.02, 0.03)
USUAL = 0.01
STRIP_SPACING = 0.005
MESHES: dict[str, Callable[[float], tuple[np.ndarray, np.ndarray]]] = {
    "rings": disc_of_rings,
    "unstructured": disc_unstructured,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of fabrics.json and fabrics.jpg")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    specimens = []
    points, faces = disc_unstructured(USUAL)
    for name, fabric in FABRICS.items():
        if name == "hair":
            continue
        found = drape(points, faces, fabric)
        figures[f"drape_{name}"] = found.coefficient
        figures[f"folds_{name}"] = found.folds
        figures[f"bending_length_{name}_cm"] = 100 * bending_length(fabric, STRIP_SPACING)
        print(f"{name}: {_said(found)}, {figures[f'bending_length_{name}_cm']:.2f} cm", flush=True)
        specimens.append(Specimen(f"{name} {found.coefficient:.0f} %", found.points, faces))
    sheet(specimens, args.out / "fabrics.jpg")
    spreads, fine = [], []
    for name in ON_ALL_MESHES:
        by_spacing: dict[float, list[float]] = {spacing: [] for spacing in SPACINGS}
        for kind, mesh in MESHES.items():
            for spacing in SPACINGS:
                found = drape(*mesh(spacing), FABRICS[name])
                by_spacing[spacing].append(found.coefficient)
                figures[f"drape_{name}_{kind}_{1000 * spacing:.0f}mm"] = found.coefficient
                print(f"{name}, {kind}, {1000 * spacing:.0f} mm: {_said(found)}", flush=True)
        spreads.append(np.ptp(np.concatenate(list(by_spacing.values()))))
        fine.append(np.ptp(np.concatenate([by_spacing[s] for s in SPACINGS[:-1]])))
    figures["drape_spread_points"], figures["drape_spread_to_20mm_points"] = max(spreads), max(fine)
    inside = [low <= figures[f"drape_{name}"] <= high for name, (low, high) in KNOWN.items()]
    figures["fabrics_in_published_range"] = sum(inside)
    (args.out / "fabrics.json").write_text(json.dumps({k: round(float(v), 3) for k, v in figures.items()}, indent=2))


def _said(found: Drape) -> str:
    return f"{found.coefficient:.1f} %, {found.folds} folds, {1000 * found.speed:.1f} mm/s"


if __name__ == "__main__":
    main()
