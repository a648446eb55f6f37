"""Step caches: parts of the transformer are extrapolated from earlier steps instead of computed. Off unless asked for.

They assume that one step's input is much like the last one's. Self-guided sampling draws fresh noise at every step,
so look at the error, which `measure_cache` computes. Of diffusers' caches TaylorSeer is used, on the last projection
alone: an extrapolated step skips all blocks, and a window keeps some megabytes. First-block caches wrap the blocks and
would add VACE's hints twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from diffusers import TaylorSeerCacheConfig
from diffusers.hooks import HookRegistry

from ani3d_formats.errors import Ani3DError

from .apply_memory_plan import transformers_of
from .networks import WanModels

EXTRAPOLATED = (r"proj_out",)
SKIPPED = (r"blocks\.\d+", r"vace_blocks\.\d+")


@dataclass(frozen=True)
class StepCache:
    """How often the network is computed.

    Attributes:
        interval: the network is computed at every `interval`-th step and extrapolated between.
        warm_up: first steps, all computed.
        order: of the Taylor series: 0 repeats the last value, 1 goes on along the last change.
    """

    interval: int = 2
    warm_up: int = 2
    order: int = 1

    def __post_init__(self) -> None:
        if self.interval < 1 or self.warm_up < 1 or self.order < 0:
            raise Ani3DError(
                "restoration.cache",
                f"A cache of interval {self.interval}, warm-up {self.warm_up} and order {self.order} is not possible.",
                "Use at least 1, 1 and 0.",
            )


def with_cache(models: WanModels, cache: StepCache) -> WanModels:
    """Turn the cache on; the models come back under a key of their own, since results differ.

    Windows and passes are kept apart by the name that `WanPrior.velocity` gives each.
    """
    for network in transformers_of(models):
        network.enable_cache(
            TaylorSeerCacheConfig(
                cache_interval=cache.interval,
                disable_cache_before_step=cache.warm_up,
                max_order=cache.order,
                taylor_factors_dtype=network.dtype,
                cache_identifiers=list(EXTRAPOLATED),
                skip_predict_identifiers=list(SKIPPED),
            )
        )
    return replace(models, key=hashlib.sha256(f"{models.key}{cache}".encode()).hexdigest())


def reset(models: WanModels) -> None:
    """Drop what the cache holds, for the next clip; without a cache nothing happens."""
    for network in transformers_of(models):
        if network.is_cache_enabled:
            HookRegistry.check_if_exists_or_initialize(network).reset_stateful_hooks()


def disable(models: WanModels) -> None:
    """Turn the cache off and drop what it holds."""
    for network in transformers_of(models):
        if network.is_cache_enabled:
            network.disable_cache()


@contextmanager
def enabled(models: WanModels, cache: StepCache) -> Iterator[None]:
    """The cache on inside a `with` block."""
    with_cache(models, cache)
    try:
        yield
    finally:
        disable(models)
