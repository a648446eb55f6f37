"""Refinement: the residual field, optimised until the character looks like the restored video."""

from .config import LossWeights, RefinementConfig
from .fit import RefinementResult, refine
from .plots import plot_losses
from .problem import RefinementProblem

__all__ = [
    "LossWeights",
    "RefinementConfig",
    "RefinementProblem",
    "RefinementResult",
    "plot_losses",
    "refine",
]
