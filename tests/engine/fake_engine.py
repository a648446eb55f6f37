"""The real engine with the stand-in job: `python fake_engine.py [--disk-full-after FILES] ENGINE ARGUMENTS`."""

from __future__ import annotations

import errno
import os
import stat
import sys

from engine import __main__, jobs


def fill_disk_after(count: int) -> None:
    """Let `count` files reach the disk, then find it full."""
    sync, left = os.fsync, [count]

    def fsync(handle: int) -> None:
        left[0] -= stat.S_ISREG(os.fstat(handle).st_mode)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    os.fsync = fsync


if __name__ == "__main__":
    jobs.BACK_OFF = 1.0  # a test need not wait for the third try
    arguments = sys.argv[1:]
    if arguments[0] == "--disk-full-after":
        fill_disk_after(int(arguments[1]))
        arguments = arguments[2:]
    sys.exit(__main__.main(arguments, job="fake_job"))
