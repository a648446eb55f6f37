"""Frames that a running job can show already, fetched through the engine."""

import numpy as np
import pytest
from engine_process import wait_for, wait_state

from ani3d_formats.errors import Ani3DError


def test_they_come_while_the_job_runs(client, shot):
    job = client.submit(shot, {"do": "show early", "steps": 40, "seconds": 0.1})
    wait_for(lambda: len(client.early_frames(job, 40_000)) == 2)
    frames = client.early_frames(job, 40_000)
    assert client.status(job).state == "running"
    np.testing.assert_array_equal(frames[:, [0, -1], 0], [[1, 1], [2, 2]])
    client.cancel(job)
    wait_state(client, job, "cancelled")


def test_a_job_that_has_none_has_none_and_an_unknown_one_is_refused(client, shot):
    job = client.submit(shot, {"do": "finish", "steps": 1})
    wait_state(client, job, "done")
    assert client.early_frames(job, 10).shape == (0, 10, 3)
    with pytest.raises(Ani3DError) as error:
        client.early_frames("0" * 16, 10)
    assert error.value.code == "job.unknown"
