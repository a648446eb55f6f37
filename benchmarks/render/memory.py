"""Peak memory of one forward and backward pass, in a process of its own: prints gigabytes before and at most."""

from __future__ import annotations

import resource
import sys

from .measure import forward_backward
from .scenes import cloud


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    count, width, height = map(int, sys.argv[1:])
    work = forward_backward(cloud(count, width, height))
    before = peak_gb()
    work()
    print(before, peak_gb())
