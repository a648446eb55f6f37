"""What the stages of one run share: where results go, who listens, how long things took."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ani3d_formats.coarse_pictures import CoarsePictures
from ani3d_formats.human_size import human_scale
from ani3d_formats.progress import Progress, Report
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views

from ..device import Compute, choose
from ..storage.results import Result
from ..storage.stage_quota import SharedStages
from ..storage.stage_store import StageStore
from .settings import Settings

Listener = Callable[[Report], None]


@dataclass
class Job:
    """One run of the pipeline; `seconds`, `peak_gb` and `warnings` fill up stage by stage.

    `views` that Blender rendered of the character came with the shot, or None; `pictures` of its coarse layer likewise.
    Finished stages are in `stages`, or in the folder `.work` of `out`.

    `shot` becomes the scene `scale` times as large, where the character has not about human size: the constants of all
    stages are meant for that. What the job writes is in the scene's own metres again.
    """

    shot: Shot
    settings: Settings
    out: Path
    listener: Listener | None
    should_cancel: Callable[[], bool]
    views: Views | None = None
    stages: SharedStages | None = None
    pictures: CoarsePictures | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    peak_gb: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        self.store = StageStore(self.out / ".work", self.stages)
        self.scale = human_scale(self.shot["vertices"])
        if self.scale != 1:
            self.shot = self.shot.scaled(self.scale)

    @cached_property
    def compute(self) -> Compute:
        """Where tensors are, by the setting `device`; found out when first asked for, since it loads torch.

        Raises:
            Ani3DError: ``compute.no_cuda``, as of `choose`.
        """
        from ..rendering.trial import draw_one

        return replace(choose(self.settings.device, draw_one), scratch=self.out / ".work")

    def progress(self, stage: str, total: int) -> Progress:
        """A fresh progress; also the point where a cancelled job stops before starting a stage."""
        progress = Progress(stage, total, self.listener, self.should_cancel)
        progress.advance(0)
        return progress

    def warn(self, text: str) -> None:
        """Note for the report that something was not done as asked, and tell the listener; each text once."""
        if text not in self.warnings:
            self.warnings.append(text)
            if self.listener:
                self.listener(Report("warning", 1, 1, 0.0, 0.0, text))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long a stage took and the peak memory after it."""
        started = time.monotonic()
        yield
        self.seconds[stage] = time.monotonic() - started
        self.peak_gb[stage] = peak_memory()

    def run(
        self, stage: str, key: str, total: int, kind: type[Result], compute: Callable[[Progress], Result]
    ) -> Result:
        """A stage's result, of class `kind`, through the store, timed; one found finished is reported as such."""
        with self.timed(stage):
            result = self.store.run(stage, key, kind, lambda: compute(self.progress(stage, total)))
        if stage in self.store.reused and self.listener:
            self.listener(Report(stage, total, total, 0.0, 0.0, "found finished"))
        return result


def peak_memory() -> float:
    """Peak resident memory of this process so far, in GB."""
    if sys.platform == "win32":
        sizes = (ctypes.c_size_t * 10)()  # PROCESS_MEMORY_COUNTERS_EX of 64 bits; the peak working set is the second
        ctypes.windll.kernel32.K32GetProcessMemoryInfo(ctypes.c_void_p(-1), sizes, ctypes.sizeof(sizes))
        return sizes[1] / 1e9
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
