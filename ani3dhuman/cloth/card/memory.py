"""Arrays on a device of warp's, and kernels that run on them by their names."""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

WHOLE = int, wp.vec2i, wp.vec3i, wp.vec4i  # kinds of element whose numbers are int32; all others are float32

wp.config.log_level = wp.LOG_WARNING


class Memory:
    """What lies on a device: `there` by name; `moves` counts how often an array got another place."""

    def __init__(self, device: str) -> None:
        """`device` as warp names it: "cuda:0", as torch does, or "cpu"."""
        self.device, self.moves = device, 0
        self.there: dict[str, Any] = {}

    def send(self, name: str, values: np.ndarray, kind: Any) -> Any:
        """An array of the device with these values, of whose rows each is a `kind`; in the same place if it fits."""
        ready = np.ascontiguousarray(values, np.int32 if kind in WHOLE else np.float32)
        axes = 2 if kind in (int, float) and ready.ndim == 2 else 1
        there = self.there.get(name)
        if there is not None and there.shape == ready.shape[:axes]:
            there.assign(ready)
            return there
        return self._keep(name, wp.array(ready, dtype=kind, ndim=axes, device=self.device))

    def room(self, name: str, count: int, kind: Any) -> Any:
        """An array of the device of `count` zeros the first time, of whatever it was left with later."""
        there = self.there.get(name)
        if there is not None and len(there) == count:
            return there
        return self._keep(name, wp.zeros(count, dtype=kind, device=self.device))

    def zeros(self, name: str, count: int) -> Any:
        """An array of the device of `count` zeros to count in."""
        there = self.room(name, count, int)
        there.zero_()
        return there

    def fill(self, made: Any, kind: Any, names: dict[str, str]) -> None:
        """Make the fields of one of warp's structures, `made` of a `kind`, the arrays of their name or of `names`."""
        for field in kind.vars:
            setattr(made, field, self.there[names.get(field, field)])

    def launch(self, kernel: Any, count: int, *given: Any) -> None:
        """Run a kernel for `count` rows; names are those of arrays that are there."""
        if count:
            inputs = [self.there[value] if isinstance(value, str) else value for value in given]
            wp.launch(kernel, dim=count, inputs=inputs, device=self.device)

    def _keep(self, name: str, array: Any) -> Any:
        self.there[name] = array
        self.moves += 1
        return array
