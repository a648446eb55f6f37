"""Refinement: the residual field, optimised until the character looks like the restored video."""

from .config import LossWeights, RefinementConfig
from .fit import RefinementResult, refine
from .long_shots import refine_long, steps_of
from .mesh_rounds import MeshSample, mesh_steps, settle_in_rounds
from .plots import plot_losses
from .problem import RefinementProblem, RestoredView
from .round_state import Round, RoundsResult
from .rounds import Restore, RoundsConfig, refine_in_rounds

__all__ = [
    "LossWeights",
    "MeshSample",
    "RefinementConfig",
    "RefinementProblem",
    "RefinementResult",
    "Restore",
    "RestoredView",
    "Round",
    "RoundsConfig",
    "RoundsResult",
    "mesh_steps",
    "plot_losses",
    "refine",
    "refine_in_rounds",
    "refine_long",
    "settle_in_rounds",
    "steps_of",
]
