"""Timing, the processor's peak, and how many pixel-Gaussian pairs a picture cannot do without."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numba import njit

from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.cpu import composite
from ani3dhuman.rendering.cpu.simd import fma, splat
from ani3dhuman.rendering.cpu.simd_memory import load, store

from .scenes import Scene

# Useful floating-point operations of one pair of pixel and Gaussian that is drawn, with 3 channels; a fused
# multiply-add counts 2, a comparison, minimum or integer step 1, a reciprocal 1.
FORWARD_FLOPS = 2 + 4 + 14 + 1 + 2 + 1 + 6 + 2  # u v, power, exp2, min, T, weight, channels, comparisons
BACKWARD_FLOPS = (
    2 + 4 + 14 + 1 + 2 + 2 + 1 + 5 + 1 + 2 + 1 + 6 + 2 + 3 + 6 + 1
)  # again, 1/(1-a), T, w, <c,v>, B, g, sums


@dataclass(frozen=True)
class Times:
    """Milliseconds: median, least and most of several runs."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.least:.1f}-{self.most:.1f})"


def timed(work: Callable[[], Any], runs: int = 7, seconds: float = 6.0) -> Times:
    """Up to `runs` runs after a warm-up, but no longer than `seconds` once there are three."""
    work()
    found: list[float] = []
    while len(found) < 3 or (len(found) < runs and sum(found) < seconds * 1e3):
        started = time.perf_counter()
        work()
        found.append((time.perf_counter() - started) * 1e3)
    return Times(statistics.median(found), min(found), max(found))


def use_threads(count: int) -> None:
    """For torch and numba alike."""
    torch.set_num_threads(count)
    numba.set_num_threads(count)


def forward(scene: Scene, **options: Any) -> Callable[[], Any]:
    def work() -> Any:
        with torch.no_grad():
            return rasterize(*scene.arguments(), width=scene.width, height=scene.height, **options)

    return work


def forward_backward(scene: Scene, **options: Any) -> Callable[[], Any]:
    """From 3D parameters to pixels and back: all gradients, pose included, of a weighting of colour and alpha."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, scene.height, scene.width)
    colors, alphas = (torch.randn((*shape, k), generator=generator) for k in (scene.colors.shape[-1], 1))
    tensors = [t.requires_grad_() for t in scene.tensors()]

    def work() -> Any:
        image, alpha, _ = rasterize(*scene.arguments(), width=scene.width, height=scene.height, **options)
        return torch.autograd.grad([image, alpha], tensors, [colors, alphas])

    return work


@njit(fastmath=False)
def _multiply_adds(count, numbers):  # type: ignore[no-untyped-def]
    z, m = splat(np.float32(0.01)), splat(np.float32(0.999))
    a, b, c, d, e = load(numbers, 0), z + 1, z + 2, z + 3, z + 4
    f, g, h, i, j = z + 5, z + 6, z + 7, z + 8, z + 9
    for _ in range(count):
        a, b, c, d, e = fma(a, m, z), fma(b, m, z), fma(c, m, z), fma(d, m, z), fma(e, m, z)
        f, g, h, i, j = fma(f, m, z), fma(g, m, z), fma(h, m, z), fma(i, m, z), fma(j, m, z)
    store(numbers, 0, a + b + c + d + e + f + g + h + i + j)


def peak_gflops() -> float:
    """float32 multiply-adds of one core in ten independent chains of vectors, the best run, in 1e9 flops a second."""
    numbers = np.ones(16, np.float32)
    count = 2_000_000
    return count * 10 * 16 * 2 / timed(lambda: _multiply_adds(count, numbers)).least / 1e6


@njit
def _count_pairs(means2d, conics, opacities, order, radii, width, height):  # type: ignore[no-untyped-def]
    left = np.ones((height, width))
    pairs = 0
    for n in order:
        if radii[n, 0] <= 0:
            continue
        x, y = means2d[n, 0], means2d[n, 1]
        for row in range(max(0, int(y - radii[n, 1])), min(height, int(y + radii[n, 1]) + 1)):
            for column in range(max(0, int(x - radii[n, 0])), min(width, int(x + radii[n, 0]) + 1)):
                dx, dy = column + 0.5 - x, row + 0.5 - y
                sigma = 0.5 * (conics[n, 0] * dx * dx + conics[n, 2] * dy * dy) + conics[n, 1] * dx * dy
                alpha = min(0.999, opacities[n] * math.exp(-sigma))
                if alpha >= 1 / 255 and left[row, column] > 0:
                    after = left[row, column] * (1 - alpha)
                    if after > 1e-4:
                        pairs += 1
                    left[row, column] = after if after > 1e-4 else 0.0
    return pairs


def drawn_pairs(scene: Scene) -> int:
    """Pairs of a pixel and a Gaussian drawn in it: what no correct renderer can leave out."""
    _, _, meta = forward(scene)()
    meta = {name: tensor.detach() for name, tensor in meta.items()}
    means2d, conics, opacities, radii, depths = (
        meta[k][0].double().numpy() for k in ("means2d", "conics", "opacities", "radii", "depths")
    )
    order = np.argsort(depths, kind="stable")
    return int(_count_pairs(means2d, conics, opacities, order, radii, scene.width, scene.height))


def evaluated_pairs(scene: Scene) -> int:
    """Pairs of a pixel and a Gaussian that the CPU kernels evaluate: 16 for every block in which an entry showed."""
    forward_kernel, seen = composite.composite_forward, []

    def listen(inputs: composite.TileInputs, out: composite.TileOutputs) -> None:
        forward_kernel(inputs, out)
        seen.append(out.masks)

    composite.composite_forward = listen
    try:
        forward(scene)()
    finally:
        composite.composite_forward = forward_kernel
    return 16 * sum(int(mask).bit_count() for mask in seen[0])
