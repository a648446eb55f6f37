"""How every numba kernel is compiled, kept, and announced.

Compiled code is cached beside the source (or where NUMBA_CACHE_DIR says), so only the first process on a machine
compiles. Numba would notice a change only in a kernel's own file, and stumbles over kept code whose types are gone;
kernels share helpers and types, so the names of kept files carry a stamp of the kernel's whole folder, and of the
folders of the kernels that it calls by name.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import numba.core.event
from numba import njit
from numba.core.caching import IndexDataCacheFile

log = logging.getLogger(__name__)
_OPTIONS: dict[str, Any] = {"cache": True, "boundscheck": False, "error_model": "numpy", "nogil": True}
_PREFIX = "ani3dhuman-"
_stamps: dict[int, str] = {}  # by the identity of each kernel, which lives as long as its module
_kernels: list[Any] = []


def folder_stamp(folder: Path) -> str:
    """A hash of all Python files of a folder, and of this one."""
    digest = hashlib.sha256()
    for path in (*sorted(folder.glob("*.py")), Path(__file__)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


_stamp_once = cache(folder_stamp)


def _stamp(function: Callable[..., Any]) -> str:
    """The stamp of the function's folder; with it a hash of the stamps of kernels that it calls in other folders."""
    own = _stamp_once(Path(function.__code__.co_filename).parent)
    called = {_stamps.get(id(function.__globals__.get(name)), own) for name in function.__code__.co_names} - {own}
    return f"{own}-{hashlib.sha256(' '.join(sorted(called)).encode()).hexdigest()[:16]}" if called else own


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher: Any = njit(**_OPTIONS, **options)(function)
    kept = dispatcher._cache
    stamp = _stamps[id(dispatcher)] = _stamp(function)
    _kernels.append(dispatcher)
    kept._cache_file = IndexDataCacheFile(kept.cache_path, f"{_PREFIX}{stamp}-{kept._impl.filename_base}", stamp)
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Compile for one thread; arithmetic stays as written."""
    return _compiled(function)


def inlined_kernel(function: Callable[..., Any]) -> Any:
    """Compile into whatever calls it: for what is called often, with more arrays than a call is worth."""
    return _compiled(function, forceinline=True)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile with `prange` loops spread over numba's threads."""
    return _compiled(function, parallel=True)


def load_kept() -> int:
    """Load the code that is kept of all kernels imported so far, which else is loaded as they are first called; how
    many. Compiles nothing."""
    loaded = 0
    for dispatcher in list(_kernels):
        kept = dispatcher._cache
        with suppress(Exception):  # the call itself tells, or compiles
            for key in kept._cache_file._load_index():
                if key == kept._index_key(key[0], dispatcher.targetctx.codegen()):
                    dispatcher.compile(key[0])
                    loaded += 1
    return loaded


@cache
def threads_may_meet() -> bool:
    """Whether two threads may run parallel kernels at once: not by numba's own pool, which ends the program then."""
    if numba.config.THREADING_LAYER not in ("default", "safe", "threadsafe", "omp", "tbb"):  # type: ignore[attr-defined]
        return False
    for pool in ("tbbpool", "omppool"):  # numba takes the first that loads
        with suppress(ImportError):
            import_module(f"numba.np.ufunc.{pool}")
            return True
    return False


def forget_former_versions(folder: Path, stamp: str) -> None:
    """Delete code in `folder` that was kept of other versions of its source folder than the one with this stamp."""
    for path in folder.glob(f"{_PREFIX}*.nb[ic]"):
        if not path.name.startswith(_PREFIX + stamp):
            with suppress(OSError):  # another process may have been faster, or the folder is read-only
                path.unlink()


class _Announcer(numba.core.event.Listener):
    """Says once that kernels are being compiled: the first picture then takes long, and nobody should wonder."""

    tidied: set[Path] = set()

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if id(dispatcher) not in _stamps:
            return
        if not self.tidied:
            log.warning("Compiling kernels for this processor. This happens once.")
        folder = Path(dispatcher._cache.cache_path)
        if folder not in self.tidied:
            self.tidied.add(folder)
            forget_former_versions(folder, _stamps[id(dispatcher)].partition("-")[0])

    def on_end(self, event: Any) -> None:
        pass


numba.core.event.register("numba:compile", _Announcer())
