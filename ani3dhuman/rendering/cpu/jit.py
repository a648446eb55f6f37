"""How every kernel of this package is compiled, kept, and announced.

Compiled code is cached beside the source (or where NUMBA_CACHE_DIR says), so only the first process on a machine
compiles. Numba would notice a change only in a kernel's own file; kernels here share helpers, so the stamp of the cache
is that of the whole folder.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba.core.event
from numba import njit

log = logging.getLogger(__name__)
_OPTIONS: dict[str, Any] = {"cache": True, "boundscheck": False, "error_model": "numpy"}
_kernels: set[int] = set()


def folder_stamp(folder: Path) -> str:
    """A hash of all Python files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


STAMP = folder_stamp(Path(__file__).parent)


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher: Any = njit(**_OPTIONS, **options)(function)
    dispatcher._cache._cache_file._source_stamp = STAMP
    _kernels.add(id(dispatcher))
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Compile for one thread; arithmetic stays as written."""
    return _compiled(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile with `prange` loops spread over numba's threads."""
    return _compiled(function, parallel=True)


class _Announcer(numba.core.event.Listener):
    """Says once that kernels are being compiled: the first picture then takes long, and nobody should wonder."""

    said = False

    def on_start(self, event: Any) -> None:
        if not self.said and id(event.data["dispatcher"]) in _kernels:
            type(self).said = True
            log.warning("Compiling the CPU rasteriser for this processor. This happens once and takes about %d s.", 15)

    def on_end(self, event: Any) -> None:
        pass


numba.core.event.register("numba:compile", _Announcer())
