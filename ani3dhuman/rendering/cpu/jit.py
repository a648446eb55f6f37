"""How every kernel of this package is compiled.

fastmath lets LLVM reorder sums, which vectorised reductions need; `arguments` refuses NaN and infinity
before any kernel runs.
Compiled code is cached beside the source. The cache notices a change only in a kernel's own file, so kernels call
helpers of their own file only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Any:
    """Compile for one thread."""
    return njit(fastmath=True, cache=True, boundscheck=False, error_model="numpy")(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile with `prange` loops spread over numba's threads."""
    return njit(parallel=True, fastmath=True, cache=True, boundscheck=False, error_model="numpy")(function)
