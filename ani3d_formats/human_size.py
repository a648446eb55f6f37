"""The size at which constants in metres are meant, a human's: characters of other sizes are worked on at that size."""

from __future__ import annotations

import math

import numpy as np

HUMAN = 1.7  # metres
SMALLEST, LARGEST = 0.5, 4.0  # metres; between them a character is worked on as it is
LIKELY = 0.8, 2.5  # metres; into them a power of ten may lead: sizes are often in other units


def human_scale(vertices: np.ndarray) -> float:
    """The factor that brings a character to about human size; 1 where it has it.

    Args:
        vertices: (V,3) bind pose; its largest extent counts, since animals are long and robots wide.
    """
    extent = float(np.ptp(vertices.astype(np.float64), axis=0).max())
    if SMALLEST <= extent <= LARGEST or extent == 0:
        return 1.0
    power = 10.0 ** round(math.log10(HUMAN / extent))
    return power if LIKELY[0] <= extent * power <= LIKELY[1] else HUMAN / extent
