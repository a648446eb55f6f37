"""One worker process as the engine sees it: started, given jobs one after the other, watched, frozen, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class WorkerProcess:
    """A process of `engine.worker` in a group of its own, which does one job at a time.

    Args:
        command: that starts it.
        log: file that gets what it prints until its first job.
        environment: variables that it has beside the engine's.

    Raises:
        OSError: when no process or log can be made.
    """

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        with open(log, "ab") as printed:
            # In a session of its own a Ctrl-C in the engine's terminal does not reach it: the engine decides.
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                env={**os.environ, **environment},
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # the same on Windows
                | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
            )
        assert self._popen.stdout is not None
        self.reports = self._popen.stdout
        self.pid = self._popen.pid

    def prepare(self, preset: str) -> None:
        """Have it load what a job of this preset needs. Raises OSError where it has just died."""
        self._tell(json.dumps({"prepare": preset}))

    def run(self, folder: Path) -> None:
        """Give it the job in `folder`. Raises OSError where it has just died."""
        self._tell(json.dumps({"run": str(folder)}))

    def ask_to_cancel(self) -> None:
        """Ask it to end its job; one that has just died is not told."""
        with contextlib.suppress(OSError):
            self._tell("cancel")

    def _tell(self, line: str) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()
        except ValueError as error:  # it is gone, and its pipe closed
            raise BrokenPipeError("the worker is gone") from error

    def kill(self) -> None:
        """End its whole process group, so that no encoder it started is left behind; does not wait."""
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.pid)], capture_output=True)
        elif self._popen.returncode is None:  # else its number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it is gone; macOS says the latter
                os.killpg(self.pid, signal.SIGKILL)

    def freeze(self, frozen: bool) -> bool:
        """Stop it where it stands, or let it go on; False on a system that cannot."""
        if sys.platform == "win32":
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGSTOP if frozen else signal.SIGCONT)
        return True

    def reap(self, patience: float = 0.0) -> int | None:
        """Wait until it is gone, ending it after `patience` seconds; how it ended by itself, None where it did not."""
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._popen.wait(timeout=patience)
        if code is None:
            self.kill()
        elif sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):  # what it started goes with it
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream:
                with contextlib.suppress(OSError):  # a "cancel" that it did not live to read
                    stream.close()
        return code

    def memory(self) -> int:
        """Bytes of memory it has now; 0 where the system does not say."""
        return resident(self.pid)


def resident(pid: int) -> int:
    """Resident bytes of a process on Linux, else 0."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return 0


def available_memory() -> int | None:
    """Bytes that the system could still give, None where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return None
