"""What jobs compute on, and why, for whoever asks the engine. Does not import torch: seconds and memory saved."""

from __future__ import annotations

import ctypes
import sys

from ani3dhuman.device import no_cuda_in_torch


def describe_device() -> str:
    """What jobs take whose device is "auto": "cuda: NAME", or "cpu (WHY)".

    A job tries a card before it takes it; should the card not draw, its report says so.
    """
    if why := no_cuda_in_torch():
        return f"cpu ({why})"
    name = card_name()
    return f"cuda: {name}" if name else "cpu (the driver shows no CUDA card)"


def card_name() -> str:
    """The first CUDA card's, as its driver has it; "" where there is none."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ""
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetName(name, 256, device):
        return ""
    return name.value.decode(errors="replace")
