"""Work that falls into parts gives the same wherever its parts are done, and can be sent there."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_restore import ToyPrior, clip_of

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman import spread
from ani3dhuman.rendering.layers import render_layer
from ani3dhuman.restoration import RestoreConfig, restore


class Elsewhere:
    """Does parts as a cluster would: on copies, the last one first."""

    def __init__(self) -> None:
        self.parts = 0

    def over(self, call: Any, shared: Any, parts: Iterable[Any]) -> Iterator[Any]:
        sent = [pickle.dumps((call, shared, part)) for part in parts]
        self.parts += len(sent)
        done = [self._do(*pickle.loads(data)) for data in reversed(sent)]
        yield from reversed(done)

    @staticmethod
    def _do(call: Any, shared: Any, part: Any) -> Any:
        return pickle.loads(pickle.dumps(call(shared, part, None)))


def test_windows_elsewhere_give_the_same_latents() -> None:
    config = RestoreConfig(schedule_steps=4, overlap=4)
    here = restore(Believing(), clip_of(40), config)
    elsewhere = Elsewhere()
    with spread.spread_by(elsewhere):
        there = restore(Believing(), clip_of(40), config)
    assert elsewhere.parts == config.steps * 3 and np.array_equal(here.frames, there.frames)


def test_windows_of_a_prior_that_keeps_state_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Believing.encode
    monkeypatch.setattr(Believing, "encode", lambda *given: replace(encode(*given), key=""))
    elsewhere, prior, config = Elsewhere(), Counting(), RestoreConfig(schedule_steps=4, overlap=4)
    with spread.spread_by(elsewhere):
        restore(prior, clip_of(40), config)
    assert elsewhere.parts == 0 and prior.calls == config.steps * 3


class Believing(ToyPrior):
    """`ToyPrior` that can be sent."""

    def __init__(self) -> None:
        super().__init__(None)

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        return (latents - conditions[0, 0, 0, 0]) / sigma


class Counting(Believing):
    """`Believing` with something that it keeps."""

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().velocity(latents, sigma, conditions)


def test_views_elsewhere_give_the_same_pictures() -> None:
    rng = np.random.default_rng(0)
    count, frames = 300, 3
    means = torch.from_numpy(rng.normal(0, 0.3, (frames, count, 3)).astype(np.float32)) + torch.tensor([0, 0, 3.0])
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, 4)
    scales, opacities = torch.full((count, 3), 0.05), torch.full((count,), 0.8)
    colors = torch.from_numpy(rng.random((count, 3)).astype(np.float32))
    K = np.array([[40, 0, 16], [0, 40, 24], [0, 0, 1]], np.float32)
    cameras = CameraPath(np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), np.tile(K, (frames, 1, 1)), 32, 48)

    def frame(t: int) -> tuple[torch.Tensor, ...]:
        return means[t], quats, scales, opacities, colors

    def drawn() -> Any:
        return render_layer(frame, np.zeros(count, np.int32), cameras, np.zeros(3), Progress("views", frames))

    here, elsewhere = drawn(), Elsewhere()
    with spread.spread_by(elsewhere):
        there = drawn()
    assert elsewhere.parts == frames
    for name in ("rgb", "alpha", "depth", "preserve"):
        assert np.array_equal(np.asarray(getattr(here, name)), np.asarray(getattr(there, name)))
    assert np.asarray(here.alpha).max() > 0.5


def _counted(shared: int, part: int, progress: Progress | None) -> int:
    if progress:
        progress.advance(2)
    return shared + part


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_progress_counts_the_same_steps(where: str) -> None:
    steps: list[int] = []
    progress = Progress("parts", 6, lambda report: steps.append(report.step))
    if where == "here":
        assert list(spread.over(_counted, 10, range(3), progress, 2)) == [10, 11, 12]
    else:
        with spread.spread_by(Elsewhere()):
            assert list(spread.over(_counted, 10, range(3), progress, 2)) == [10, 11, 12]
    assert steps == [2, 4, 6]


def test_cancelling_is_heard_between_parts_elsewhere() -> None:
    progress = Progress("parts", 6, None, lambda: True)
    with spread.spread_by(Elsewhere()), pytest.raises(Cancelled):
        list(spread.over(_counted, 10, range(3), progress, 2))


def test_without_ray_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Ani3DError) as caught:
        spread.RaySpread("nowhere:1")
    assert caught.value.code == "farm.ray" and "ani3dhuman[farm]" in caught.value.hint


class FakeRay:
    """What `RaySpread` uses of Ray; `failing` is raised by every part."""

    class RayError(Exception):
        """As Ray's: of the cluster, or with what a part raised as its cause."""

        cause: BaseException | None = None

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, failing: Exception) -> None:
        self.failing = failing

    def remote(self, do: Any) -> Any:
        task = SimpleNamespace(remote=lambda *given: None)
        return SimpleNamespace(options=lambda **chosen: task)

    def get(self, task: None) -> Any:
        raise self.failing

    is_initialized = staticmethod(lambda: True)
    put = staticmethod(lambda shared: shared)
    cancel = staticmethod(lambda task, force: None)
    cluster_resources = staticmethod(lambda: {"CPU": 1})


def test_what_a_part_raises_is_not_called_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, lost = FakeRay.RayError("part"), FakeRay.RayError("machine")
    wrong.cause = ZeroDivisionError("of a part")
    monkeypatch.setitem(sys.modules, "ray", FakeRay(wrong))
    with pytest.raises(ZeroDivisionError, match="of a part"):
        list(spread.RaySpread().over(_counted, 1, range(3)))
    for cause in (None, FakeRay.RayError("its input is gone")):
        lost.cause = cause
        monkeypatch.setitem(sys.modules, "ray", FakeRay(lost))
        with pytest.raises(Ani3DError) as caught:
            list(spread.RaySpread().over(_counted, 1, range(3)))
        assert caught.value.code == "farm.lost"
