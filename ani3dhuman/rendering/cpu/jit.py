"""How every kernel of this package is compiled, kept, and announced.

Compiled code is cached beside the source (or where NUMBA_CACHE_DIR says), so only the first process on a machine
compiles. Numba would notice a change only in a kernel's own file, and stumbles over kept code whose types are gone;
kernels here share helpers and types, so the names of kept files carry a stamp of the whole folder.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba.core.event
from numba import njit
from numba.core.caching import IndexDataCacheFile

log = logging.getLogger(__name__)
_OPTIONS: dict[str, Any] = {"cache": True, "boundscheck": False, "error_model": "numpy", "nogil": True}
_kernels: set[int] = set()


def folder_stamp(folder: Path) -> str:
    """A hash of all Python files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


STAMP = folder_stamp(Path(__file__).parent)
_PREFIX = "ani3dhuman-"


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher: Any = njit(**_OPTIONS, **options)(function)
    cache = dispatcher._cache
    kept_as = f"{_PREFIX}{STAMP}-{cache._impl.filename_base}"
    cache._cache_file = IndexDataCacheFile(cache.cache_path, kept_as, STAMP)
    _kernels.add(id(dispatcher))
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Compile for one thread; arithmetic stays as written."""
    return _compiled(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile with `prange` loops spread over numba's threads."""
    return _compiled(function, parallel=True)


def forget_former_versions(folder: Path) -> None:
    """Delete code that other versions of this package kept in `folder`."""
    for path in folder.glob(f"{_PREFIX}*.nb[ic]"):
        if not path.name.startswith(_PREFIX + STAMP):
            with suppress(OSError):  # another process may have been faster, or the folder is read-only
                path.unlink()


class _Announcer(numba.core.event.Listener):
    """Says once that kernels are being compiled: the first picture then takes long, and nobody should wonder."""

    said = False

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if not self.said and id(dispatcher) in _kernels:
            type(self).said = True
            forget_former_versions(Path(dispatcher._cache.cache_path))
            log.warning("Compiling the CPU rasteriser for this processor. This happens once and takes about 20 s.")

    def on_end(self, event: Any) -> None:
        pass


numba.core.event.register("numba:compile", _Announcer())
