"""Restoration: a prior draws a coarse clip anew; face and skin are kept.

Read `ani3dhuman.clip` (what goes in and comes out), `prior` (what a prior must offer), `restore` (sampling over
windows) and `loading` (a prior from its name). The rooms import these, and `video` what `wan` and `ltx` share:

    sampler      one step of self-guided sampling
    conditions   inputs of a prior besides the pictures
    compact      the small prior that ships with the package
    video        what the video models share
    wan, ltx     the video models
"""

from typing import TYPE_CHECKING, Any

from .compact.prior import CompactPrior, load_compact_prior
from .prior import EncodedClip, VideoPrior
from .restore import RestoreConfig, restore

if TYPE_CHECKING:
    from .sampler.scheduler import SelfGuidedFlowMatchScheduler

__all__ = [
    "CompactPrior",
    "EncodedClip",
    "RestoreConfig",
    "SelfGuidedFlowMatchScheduler",
    "VideoPrior",
    "load_compact_prior",
    "restore",
]


def __getattr__(name: str) -> Any:
    """The scheduler, which loads diffusers: seconds that only those who use it shall wait for."""
    if name == "SelfGuidedFlowMatchScheduler":
        from .sampler.scheduler import SelfGuidedFlowMatchScheduler

        return SelfGuidedFlowMatchScheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
