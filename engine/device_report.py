"""What jobs compute on, and why, for whoever asks the engine. Does not import torch: seconds and memory saved."""

from __future__ import annotations

import ctypes
import sys

from ani3dhuman.device import no_cuda_in_torch


def describe_device() -> str:
    """What jobs take whose device is "auto": "cuda: NAME", of several "cuda: NAME, NAME", or "cpu (WHY)".

    A job tries a card before it takes it; should the card not draw, its report says so.
    """
    if why := no_cuda_in_torch():
        return f"cpu ({why})"
    names = card_names()
    return f"cuda: {', '.join(names)}" if names else "cpu (the driver shows no CUDA card)"


def usable_cards() -> int:
    """How many CUDA cards jobs can take."""
    return 0 if no_cuda_in_torch() else len(card_names())


def card_names() -> list[str]:
    """The CUDA cards in the order of their numbers, as their driver has them."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return []
    count, device, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    names = []
    for number in range(count.value):
        if driver.cuDeviceGet(ctypes.byref(device), number) or driver.cuDeviceGetName(name, 256, device):
            break
        names.append(name.value.decode(errors="replace"))
    return names
