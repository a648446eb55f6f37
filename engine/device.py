"""What large video priors compute on; all other stages use the CPU. Does not import torch: seconds and memory saved."""

from __future__ import annotations

import ctypes
import sys
from importlib import metadata


def describe_device() -> str:
    """ "cuda: NAME" when the driver shows a GPU and torch is built for one, else "cpu"."""
    try:
        if "+cpu" in metadata.version("torch"):
            return "cpu"
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except (metadata.PackageNotFoundError, OSError):
        return "cpu"
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetName(name, 256, device):
        return "cpu"
    return f"cuda: {name.value.decode(errors='replace')}"
