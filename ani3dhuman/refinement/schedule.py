"""When a fit does what: learning rates step by step, and which frames of which views each step sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .config import RefinementConfig

Pair = tuple[int, int]  # a view and a frame, both as indices
WARM_UP = 20  # steps until the full learning rate
FINAL_RATE = 0.02  # share of it at the end; at 0.1 the gradients of single frames still show
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass
class RateSchedule:
    """The learning rates' course: a short warm-up, a plateau, then half a cosine down to `FINAL_RATE`.

    Attributes:
        steps: of the whole fit at most.
        cooldown: share of all steps over which the rates decay, below 1.
        decay_from: the step at which they begin to; earlier once `decay_now` was called.
    """

    steps: int
    cooldown: float
    decay_from: int

    @classmethod
    def of(cls, config: RefinementConfig) -> RateSchedule:
        return cls(config.steps, config.cooldown, math.ceil(config.steps * (1 - config.cooldown)))

    @property
    def end(self) -> int:
        """The last step: the decay takes the same share of all steps, whether it began as planned or early."""
        return min(self.steps, math.ceil(self.decay_from / (1 - self.cooldown)))

    def factor(self, step: int) -> float:
        """Of the full learning rates, in 0..1."""
        # gradients of single frames differ, and Adam knows their variance only after some of them
        factor = min(1.0, (step + 1) / WARM_UP)
        if step >= self.decay_from:
            done = (step - self.decay_from) / max(self.end - self.decay_from, 1)
            factor *= FINAL_RATE + (1 - FINAL_RATE) * (0.5 + 0.5 * math.cos(math.pi * done))
        return factor

    def decay_now(self, step: int) -> None:
        """Begin the decay at `step`, unless it has begun."""
        self.decay_from = min(self.decay_from, step)


def split_pairs(seen: tuple[Pair, ...], every: int) -> tuple[list[Pair], list[Pair]]:
    """Training and held-out pairs of view and frame.

    A frame is held out in all views or in none: what another view shows of it would give it away. A clip too short to
    spare any is judged by the frames it learns from.
    """
    frames = sorted({frame for _, frame in seen})
    spared = frames[every // 2 :: every]
    training = [pair for pair in seen if pair[1] not in spared]
    held_out = [pair for pair in seen if pair[1] in spared]
    return (training, held_out) if held_out and training else (list(seen), list(seen))


def pairs_of_step(training: list[Pair], step: int, count: int, seed: int) -> list[Pair]:
    """The pairs of one step: walking through all of them in each round, without state.

    A few steps in a row, over which Adam averages, see the whole clip evenly: the n-th pair of a round is the one whose
    place among all is that of n times the golden ratio, modulo 1, from a start of the round's own.
    """
    chosen = []
    for position in range(step * count, (step + 1) * count):
        turn, place = divmod(position, len(training))
        start = torch.rand(1, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn), dtype=torch.float64)
        spots = (start + GOLDEN * torch.arange(len(training), dtype=torch.float64)) % 1
        chosen.append(training[int((spots < spots[place]).sum())])
    return chosen
