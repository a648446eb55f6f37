"""What rounds of refinement did, and what they hand on to the next one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..storage.checkpoint import load_checkpoint, save_checkpoint
from .consensus import Consensus
from .problem import RefinementProblem, RestoredView


@dataclass(frozen=True)
class Round:
    """What one round did.

    Attributes:
        number: 0 for the first.
        sides: azimuths of the further views, degrees.
        strength: of restoration; None in the first round, whose video was given.
        start_validation, best_validation: photometric loss of held-out frames before and after, to this round's videos.
        best_step: steps behind the kept field; 0 where the layer stayed as it was.
        moved: metres, mean over frames and open vertices of what this round added.
        seconds: of restoring and fitting.
        history, message: see `RefinementResult`.
    """

    number: int
    sides: tuple[float, ...]
    strength: float | None
    start_validation: float
    best_validation: float
    best_step: int
    moved: float
    seconds: float
    history: dict[str, list[float]]
    message: str


@dataclass(frozen=True)
class RoundsResult:
    """The layer after the last round, and what each of the rounds did.

    Attributes:
        vertices: (T,V,3) float32 world metres.
        rounds: the rounds.
        appearance: (T,V,5) float32 as of `RefinementResult`, or None.
    """

    vertices: np.ndarray
    rounds: tuple[Round, ...]
    appearance: np.ndarray | None = None

    @property
    def message(self) -> str:
        """One sentence for a person."""
        if len(self.rounds) == 1:
            return self.rounds[0].message
        if not self.rounds[0].history:
            samples = 1 + sum(1 + len(done.sides) for done in self.rounds[1:])
            return f"What {samples} samples of the prior's own mesh agree on, in {len(self.rounds)} rounds."
        parts = [
            f"{1 + len(done.sides)} view{'s' if done.sides else ''} {done.start_validation:.4f} -> "
            f"{done.best_validation:.4f}"
            for done in self.rounds
        ]
        return f"Photometric loss of held-out frames in {len(parts)} rounds: {', '.join(parts)}."

    @property
    def history(self) -> dict[str, list[float]]:
        """That of all rounds one after the other, steps counted on; terms that a round lacks are 0 in it."""
        terms = {name for done in self.rounds for name in done.history if not name.endswith("step")}
        joined: dict[str, list[float]] = {}
        before = 0.0
        for done in self.rounds:
            validations = {"validation", "validation_step"}
            for name in sorted(terms | {"step", "validation_step"}):
                count = len(done.history["validation_step" if name in validations else "step"])
                values = done.history.get(name, [0.0] * count)
                shift = before if name.endswith("step") else 0.0
                joined.setdefault(name, []).extend(value + shift for value in values)
            before += done.history["step"][-1] if done.history["step"] else 0.0
        return joined


@dataclass(frozen=True)
class RoundState:
    """What there is after some rounds.

    Attributes:
        vertices: (T,V,3) float32 world metres, the layer so far; appearance: (T,V,5), or None.
        consensus: of the samples so far of a prior that knows the mesh.
        done: the rounds so far.
    """

    vertices: np.ndarray
    appearance: np.ndarray | None
    consensus: Consensus
    done: tuple[Round, ...] = ()

    @classmethod
    def start(cls, problem: RefinementProblem, views: tuple[RestoredView, ...]) -> RoundState:
        """Before the first round; `views` are the samples that a later round's consensus includes."""
        vertices = np.asarray(problem.coarse_vertices, np.float32)
        consensus = Consensus.none(vertices).joined(views)
        return cls(vertices, problem.appearance, consensus)

    def save(self, path: Path, mark: str) -> None:
        """Write it to a checkpoint, valid for the fingerprint `mark`."""
        arrays = {
            "vertices": self.vertices,
            "weighted_offsets": self.consensus.weighted_offsets,
            "visibility": self.consensus.visibility,
        }
        if self.appearance is not None:
            arrays["appearance"] = self.appearance
        notes = {"rounds": [asdict(entry) for entry in self.done], "samples": self.consensus.samples}
        save_checkpoint(path, mark, {name: torch.from_numpy(array) for name, array in arrays.items()}, notes)

    def loaded(self, path: Path, mark: str) -> RoundState:
        """The state in a checkpoint, or this one where there is none for `mark`."""
        found = load_checkpoint(path, mark)
        if found is None:
            return self
        kept, notes = {name: tensor.numpy() for name, tensor in found[0].items()}, found[1]
        sums = {name: kept[name] for name in ("weighted_offsets", "visibility")}
        return RoundState(
            kept["vertices"],
            kept.get("appearance"),
            replace(self.consensus, samples=notes["samples"], **sums),
            tuple(Round(**{**entry, "sides": tuple(entry["sides"])}) for entry in notes["rounds"]),
        )
