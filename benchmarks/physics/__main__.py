"""Simulate a dress of 5,000 vertices over a walk, a kick, a jump and a wild start; write out/bench/physics.json.

python -m benchmarks.physics [--fabric generic] [--rounds 3]

`physics_seconds_81f_5k` is the fastest of some rounds of the 81-frame walk, way in included, compiled code warm, as
`simulate_character` is called by the pipeline; one process, one thread. `cpu_seconds` is the processor time of the same
call, which other programs on the machine disturb less. Prefixed figures belong to the other motions.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from ani3d_formats.regions import GARMENT
from ani3dhuman.cloth.character import simulate_character
from ani3dhuman.cloth.fabrics import FABRICS

from .measure import figures
from .scene import FPS, MOTIONS, bone_transforms, dressed_human

OUT = Path(__file__).resolve().parents[2] / "out" / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fabric", default="generic", choices=sorted(FABRICS))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    person = dressed_human()
    results: dict[str, float] = {
        "cores": float(os.cpu_count() or 1),
        "dress_vertices": float(sum(person.regions == GARMENT)),
    }

    for name, motion in MOTIONS.items():
        skinned = person.posed(bone_transforms(person, *motion()))
        if name == "walk":  # compile, or load what was compiled, before the clock starts
            _simulate(person, skinned[:2], args.fabric)
        seconds, cpu = [], []
        for _ in range(args.rounds if name == "walk" else 1):
            start, busy = time.perf_counter(), time.process_time()
            moved = _simulate(person, skinned, args.fabric)
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - busy)
        prefix = "" if name == "walk" else f"{name}_"
        results["physics_seconds_81f_5k" if name == "walk" else f"{name}_seconds"] = min(seconds)
        results[f"{prefix}cpu_seconds"] = min(cpu)
        results |= {prefix + key: value for key, value in figures(person, moved).items()}
        print(f"{name}: {len(skinned)} frames in {min(seconds):.2f} s")
    results = {key: round(value, 4) for key, value in results.items()}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "physics.json").write_text(json.dumps(results, indent=2))
    print(json.dumps(results, indent=2))


def _simulate(person, skinned, fabric):  # type: ignore[no-untyped-def]
    return simulate_character(skinned, person.faces, person.vertices, person.regions, person.pins, FPS, FABRICS[fabric])


if __name__ == "__main__":
    main()
