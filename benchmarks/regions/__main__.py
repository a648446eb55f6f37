"""How many names of parts get the right region; writes out/bench/regions.json.

python -m benchmarks.regions [--final]

names.csv holds names as artists write them. Half of them, by a hash of the name, are held out: while words are added,
only the failures of the tuning half may be read, so these alone are printed; `--final` prints the others too.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from blender_addon.regions.name_matching import region_of

OUT = Path(__file__).resolve().parents[2] / "out" / "bench"
NAMES = Path(__file__).with_name("names.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description="How many names of parts get the right region.")
    parser.add_argument("--final", action="store_true", help="print held-out failures too")
    chosen = parser.parse_args()
    with NAMES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    figures: dict[str, float] = {}
    for split in ("tuning", "held-out"):
        own = [row for row in rows if row["split"] == split]
        told = [(region_of(row["name"]) or ("body", 0.0))[0] for row in own]  # where nothing is said, body
        wrong = [(row, said) for row, said in zip(own, told, strict=True) if said != row["region"]]
        key = split.replace("-", "_")
        figures[f"{key}_names"] = len(own)
        figures[f"{key}_right"] = round(1 - len(wrong) / len(own), 4)
        figures[f"{key}_faces_called_cloth"] = sum(row["region"] == "face" and said == "garment" for row, said in wrong)
        if split == "tuning" or chosen.final:
            for row, said in wrong:
                print(f"{split}: '{row['name']}' is {row['region']}, told {said}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "regions.json").write_text(json.dumps(figures, indent=2))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
