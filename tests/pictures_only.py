"""A prior that returns pictures and no mesh, as video models do: the compact prior's result, drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from ani3dhuman.pipeline import restoring


@contextmanager
def pictures_only(change: Callable[[Any], Any] = lambda done: done) -> Iterator[None]:
    """Within it restored layers have pictures alone; `change` may paint them over."""
    real = restoring.restore_layer

    def drawn(job: Any, settings: Any, clip: Any, *rest: Any) -> Any:
        done = real(job, settings, clip, *rest)
        if done.vertices is not None:
            seen = clip.draw_layer(done.vertices)
            done = replace(done, vertices=None, visibility=None, rgb=seen.rgb, alpha=seen.alpha)
        return change(done)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "restore_layer", drawn)
        yield
