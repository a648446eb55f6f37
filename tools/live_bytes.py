"""Bytes of tensors alive at the peak of a run, on any device; on "meta" nothing is computed or allocated.

Storages are counted from the operation that makes them until they are freed. Attention is counted as the fused
kernels of CUDA and CPU have it, output only: on "meta" torch would otherwise spell out the square matrix.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Live(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.older: set[int] = set()  # storages that were there before
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in _storages((args, kwargs)):
            if storage._cdata not in self.sizes and storage._cdata not in self.older:
                self.older.add(storage._cdata)
                weakref.finalize(storage, self.older.discard, storage._cdata)
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            if storage._cdata not in self.sizes and storage._cdata not in self.older:
                self.sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, storage._cdata)
        return out

    def _free(self, key: int) -> None:
        self.now -= self.sizes.pop(key)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _fused(query: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return torch.empty_like(query)


def peak_bytes(run: Callable[[], Any]) -> int:
    """Peak of the bytes that `run` keeps alive beyond what existed before it (weights, inputs)."""
    with torch.no_grad(), mock.patch.object(functional, "scaled_dot_product_attention", _fused), _Live() as live:
        run()
    return live.peak
