"""A picture of many sequences: the truth above what the skeleton alone says.

python -m cloth_truth.sheet out/cloth_truth train_0003 test_0005 --out sheet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ani3dhuman.media.video import read_video, write_png
from ani3dhuman.presentation.sheets import titled

from .sequences import list_sequences, load_sequence


def sheet(folders: list[Path], moments: tuple[float, ...] = (0.25, 0.85), columns: int = 6) -> np.ndarray:
    """(.,.,3) uint8: for each sequence its frames at `moments` (0..1 of the clip), truth above coarse."""
    tiles = []
    for folder in folders:
        recipe = load_sequence(folder).about["recipe"]
        layers = []
        for layer in ("truth", "coarse"):
            film = read_video(folder / f"{layer}.mp4")
            layers.append(np.concatenate([film[round(m * (len(film) - 1))] for m in moments], axis=1))
        title = f"{folder.name}: {recipe['cut']}, {recipe['motion']}, {recipe['fabric']}"
        tiles.append(titled(np.concatenate(layers), title.replace("_", " "), 30))
    tiles += [np.full_like(tiles[0], 250)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("names", nargs="*", help="sequences; all of them when none is named")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--columns", type=int, default=6)
    options = parser.parse_args()
    folders = [options.root / name for name in options.names] or list_sequences(options.root)
    write_png(options.out, sheet(folders, columns=options.columns))
    print(options.out)


if __name__ == "__main__":
    main()
