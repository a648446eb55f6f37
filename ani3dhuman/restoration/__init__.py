"""Restoration: a coarse clip becomes what a prior believes it should have been, face and skin kept."""

from .clip import CoarseClip, RestoredClip
from .compact.prior import CompactPrior, load_compact_prior
from .prior import EncodedClip, VideoPrior
from .restore import RestoreConfig, restore
from .sampler.scheduler import SelfGuidedFlowMatchScheduler

__all__ = [
    "CoarseClip",
    "CompactPrior",
    "EncodedClip",
    "RestoreConfig",
    "RestoredClip",
    "SelfGuidedFlowMatchScheduler",
    "VideoPrior",
    "load_compact_prior",
    "restore",
]
