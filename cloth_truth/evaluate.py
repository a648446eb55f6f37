"""Judge every row of the table on a split, sequence by sequence.

    python -m cloth_truth.evaluate --split validation --out out/cloth_truth_eval

Finished sequences are kept, so the run can be stopped and started again. `table` reads what this writes. The test split
is for the table alone and is opened once.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3dhuman.restoration import load_compact_prior
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.restoration.compact.prior import WEIGHTS

from .rows import ROWS, Judged, versions
from .sequences import add_choice, chosen, load_sequence

STRIP_FRAMES = (3, 11, 19, 27, 35, 43)


def judge_sequence(folder: Path, net: DisplacementNet, seeds: int, strip: Path | None) -> dict[str, dict[str, float]]:
    """Figures by row, averaged over seeds; `strip` is a picture of all rows at a few frames."""
    judged = Judged.of(load_sequence(folder))
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    shown: dict[str, np.ndarray] = {}
    for name, vertices, seconds in versions(judged, net, seeds):
        version = judged.version(vertices)
        rows[name].append({**judged.figures(version), "seconds": seconds})
        if name not in shown and version.pictures is not None:
            shown[name] = version.pictures[[t for t in STRIP_FRAMES if t < len(vertices)]]
    if strip is not None:
        sheet = np.concatenate([np.concatenate(list(shown[name]), 1) for name in ROWS if name in shown], 0)
        strip.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(strip), (sheet[..., ::-1] * 255 + 0.5).astype(np.uint8))
    return {name: {key: float(np.mean([f[key] for f in found])) for key in found[0]} for name, found in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_choice(parser, "validation")
    parser.add_argument("--out", type=Path, default=Path("out/cloth_truth_eval"))
    parser.add_argument("--prior", type=Path, default=WEIGHTS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    net = load_compact_prior(options.prior).net
    for folder in tqdm(chosen(options), desc=options.split):
        target = options.out / f"{folder.name}.json"
        if not target.exists():
            rows = judge_sequence(folder, net, options.seeds, options.out / "strips" / f"{folder.name}.png")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(target, json.dumps({"rows": rows, "seeds": options.seeds}, indent=1).encode())


if __name__ == "__main__":
    main()
