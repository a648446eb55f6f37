"""Messages of a worker survive the way through a pipe, in any pieces; anything else is one clear error."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from engine import pipe
from engine.pipe import Outcome, ProgressReport
from engine.wire import FileInfo

PICTURE = np.arange(60 * 40 * 3, dtype=np.uint8).reshape(60, 40, 3)
REPORTS = [
    ProgressReport("rigid", 3, 10, float("inf"), "Änn", None),
    ProgressReport("refine", 4, 4, 0.0, "", PICTURE),
    Outcome("failed", {"code": "c", "message": "m", "hint": "h"}),
    Outcome("done", None, "out/result", [FileInfo("Ann.ani3d/position.npy", 5, "0" * 64)]),
]


class Trickle(io.BytesIO):
    """A pipe that gives and takes 7 bytes at a time."""

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        return super().write(data[:7])

    def read1(self, size: int = -1) -> bytes:
        return super().read1(7)


def test_messages_arrive_equal_and_in_order() -> None:
    stream = Trickle()
    for message in REPORTS:
        pipe.write(stream, message)
    stream.seek(0)
    back = list(pipe.read(stream))
    assert back[0] == REPORTS[0] and back[2:] == REPORTS[2:]
    assert isinstance(back[1], ProgressReport) and back[1].preview is not None
    np.testing.assert_array_equal(back[1].preview, PICTURE)


@pytest.mark.parametrize("data", [b"\xc1", b"GET / HTTP/1.1", b"\x81\xa6report\x01", b"\x92\xc0\xc0"])
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(Ani3DError) as caught:
        list(pipe.read(io.BytesIO(data)))  # type: ignore[arg-type]
    assert caught.value.code == "protocol.malformed"
