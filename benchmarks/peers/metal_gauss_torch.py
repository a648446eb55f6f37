"""Times metal-gauss's renderer for machines without Metal: plain PyTorch in tiles, differentiated by autograd.

Its author calls it deliberately slow, the oracle of the Metal kernels; it is here because it draws exactly what a
rasteriser with eps2d 0.3 does. The tile sizes below are the fastest of those tried, not its defaults (32 pixels, 32
tiles at a time), which take some 30 times longer.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from metal_gauss.api import render

TILES = {"tile": 8, "tile_chunk": 2, "slab": 128}


def milliseconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Times of `work` after one run that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return times[1:]


def main() -> None:
    """Draw, time, print the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with np.load(arguments.scene) as file:
        scene = dict(file)
    leaves = [torch.from_numpy(scene[k]).requires_grad_() for k in ("means", "quats", "scales", "opacities", "colors")]
    K, viewmat = torch.from_numpy(scene["K"]), torch.from_numpy(scene["viewmat"])
    size = int(scene["width"]), int(scene["height"])
    picture = torch.empty(0)

    def draw() -> torch.Tensor:
        return render(*leaves[:4], None, K, viewmat, *size, colors=leaves[4], far=1e10, backend="torch_ref", **TILES)[0]

    @torch.no_grad()
    def forward() -> None:
        nonlocal picture
        picture = draw()

    def forward_backward() -> None:
        torch.autograd.grad(draw().square().mean(), leaves)

    forward_ms = milliseconds(forward, arguments.repeats)
    image = arguments.scene.with_name(f"{arguments.scene.stem}_metal_gauss.npy").absolute()
    np.save(image, picture.numpy())
    both_ms = milliseconds(forward_backward, arguments.repeats)
    print(json.dumps({"forward_ms": forward_ms, "forward_backward_ms": both_ms, "image": str(image)}))


if __name__ == "__main__":
    main()
