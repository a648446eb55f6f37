"""Whether the process that started the engine still lives."""

from __future__ import annotations

import ctypes
import os
import sys


def is_alive(pid: int, was_our_parent: bool) -> bool:
    """True while process `pid` runs.

    A dead parent that nobody has waited for still has its id, so for a direct child the test is whether it has been
    handed to another parent; `was_our_parent` says that `pid` was `os.getppid()` when the engine started.
    """
    if sys.platform == "win32":
        handle = ctypes.windll.kernel32.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE; os.kill would kill it
        alive = bool(handle) and ctypes.windll.kernel32.WaitForSingleObject(handle, 0) != 0
        ctypes.windll.kernel32.CloseHandle(handle)
        return alive
    if was_our_parent:
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # someone else's process, but a process
    return True
