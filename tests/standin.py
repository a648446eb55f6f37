"""A device that is not the CPU, on a machine that has only a CPU.

Numbers of tensors on it lie in ordinary memory, so results are real; but the tensors refuse what a card's refuse: to
meet tensors of the CPU in an operation, and to become arrays unasked. Every copy from it to the CPU is noted with the
function that asked for it. It shows that code is ready for a card; of kernels, speed and memory it shows nothing.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils import _pytree as trees
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "standin"
_ops = torch.ops.aten
_COPIES = {_ops._to_copy.default, _ops.copy_.default}
_TAKES_CPU_INDICES = {_ops.index.Tensor, _ops.index_put.default, _ops.index_put_.default}
_LIBRARY = "ani3dhuman"


def available() -> bool:
    """Whether this torch can have a device that is written in Python."""
    return _register() is not None


def _register() -> torch.device | None:
    if not hasattr(_register, "device"):
        try:
            from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

            _setup_privateuseone_for_python_backend(NAME)
            getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.float16]  # asked for by checkpointing
            found: torch.device | None = torch.device(NAME, 0)
        except (ImportError, RuntimeError):
            found = None
        _register.device = found  # type: ignore[attr-defined]
    return _register.device  # type: ignore[attr-defined]


class Held(torch.Tensor):
    """A tensor of the device; `held` are its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Held:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=_register(),
            requires_grad=False,
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        """As of a card, whose values may be waited for."""
        return self.held.tolist()

    def new_tensor(self, values: Any, dtype: torch.dtype | None = None, **_: Any) -> Held:
        return Held(torch.tensor(values, dtype=dtype or self.dtype))

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


moved: Counter[str] = Counter()  # copies to the CPU, by who asked for them


def _asker() -> str:
    """MODULE.FUNCTION of the library's innermost frame that is not the helper which copies."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(_LIBRARY) and frame.f_code.co_name != "to_numpy":
            return f"{name.removeprefix(_LIBRARY + '.')}.{frame.f_code.co_qualname}"
        frame = frame.f_back  # type: ignore[assignment]
    return "somebody else"


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    flat, shape = trees.tree_flatten((args, kwargs))
    here = [value for value in flat if isinstance(value, Held)]
    there = [value for value in flat if isinstance(value, torch.Tensor) and not isinstance(value, Held) and value.dim()]
    if here and there and operation not in _COPIES | _TAKES_CPU_INDICES:
        raise RuntimeError(f"{operation}: tensors of {NAME} and of the CPU meet")
    wanted = kwargs.get("device")
    stays = torch.device(wanted).type == NAME if wanted is not None else bool(here)
    if operation is _ops.copy_.default:
        stays = isinstance(args[0], Held)
    if operation in _COPIES and here and not stays:
        moved[_asker()] += 1

    def plain(value: Any) -> Any:
        if isinstance(value, Held):
            return value.held
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value

    raw = [plain(value) for value in flat]
    plain_args, plain_kwargs = trees.tree_unflatten(raw, shape)
    found = operation(*plain_args, **plain_kwargs)
    if operation._schema.is_mutable and args and isinstance(args[0], Held) and found is raw[0]:
        return args[0]

    def placed(value: Any) -> Any:
        return Held(value) if stays and isinstance(value, torch.Tensor) and not isinstance(value, Held) else value

    return trees.tree_map(placed, found)


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


def _placing(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`torch.tensor` or its like that knows the device."""

    def made(*given: Any, device: Any = None, **named: Any) -> torch.Tensor:
        if device is not None and torch.device(device).type == NAME:
            return make(*given, **named).to(NAME)
        return make(*given, device=device, **named)

    return made


@contextlib.contextmanager
def standin() -> Iterator[Counter[str]]:
    """Within it there is the device `NAME`, drawn on by the reference rasteriser; gives who copied from it."""
    from ani3dhuman.rendering import view

    moved.clear()
    with pytest.MonkeyPatch.context() as patch, _Mode():
        patch.setitem(view.BACKENDS_OF, NAME, "reference")
        for name in ("tensor", "as_tensor"):  # they ask no mode
            patch.setattr(torch, name, _placing(getattr(torch, name)))
        yield moved


def in_mode(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions that other threads call: a mode is a thread's own."""

    def inside(*args: Any, **kwargs: Any) -> Any:
        with _Mode():
            return function(*args, **kwargs)

    return inside
