"""Hair follows garments frame by frame while those are simulated, to the same bits."""

import threading

import numba
import numpy as np
import pytest
from two_threads import with_two_threads

from ani3dhuman.cloth.in_step import Arriving, Stale, in_step

FRAMES = np.arange(12, dtype=np.float32).reshape(4, 1, 3)


def hair_over_a_cape() -> tuple[np.ndarray, dict[str, bool]]:
    """Vertices of a person with both, and which of them the main thread simulated."""
    from test_hair_meshes import locks
    from wardrobe import body, cape, head, rows, wear

    from ani3d_formats.progress import Progress
    from ani3dhuman.cloth.character import simulate_shot
    from ani3dhuman.cloth.fabrics import FABRICS
    from ani3dhuman.cloth.pins import find_pins
    from ani3dhuman.cloth.surroundings import Shown, Surroundings
    from ani3dhuman.rigid import pose_rigid

    shot = wear({"Body": body(), "Head": head(), "Cape": cape(away=0.03), "Hair": locks(2)}, 12)
    hair, by_main = rows(shot, "Hair"), dict[str, bool]()

    def sink(frame: int, shown: np.ndarray, places: np.ndarray) -> None:
        name = "hair" if (shown >= hair.start).any() else "cape"
        by_main[name] = threading.current_thread() is threading.main_thread()

    everyone = np.arange(len(shot["vertices"]))
    around = Surroundings(shown=Shown(sink, everyone, everyone))
    rigid = pose_rigid(shot, Progress("rigid", 12))
    moved = simulate_shot(shot, rigid, find_pins(shot).weights, FABRICS["generic"], surroundings=around)
    assert np.abs(moved - rigid)[:, hair].max() > 0.01 < np.abs(moved - rigid)[:, rows(shot, "Cape")].max()
    return moved, by_main


def test_one_thread_and_two_give_the_same_bits():
    program = """
import numba, numpy
from test_in_step import hair_over_a_cape
found = []
for threads in (1, 2):
    numba.set_num_threads(threads)
    found.append(hair_over_a_cape())
for _, by_main in found:
    print(by_main["cape"], by_main["hair"])
print(numpy.array_equal(found[0][0], found[1][0]), numba.get_num_threads())
"""
    assert with_two_threads(program) == ["True", "True", "True", "False", "True", "2"]


def frames_that_wait_for_each_other() -> bool:
    """Whether garments can go on when what is over them has seen their frame, which takes two at work at once."""
    arriving, seen = Arriving(4, 1), [threading.Event() for _ in FRAMES]

    def garments() -> np.ndarray:
        for t, frame in enumerate(FRAMES):
            arriving.put(t, frame)
            assert seen[t].wait(60)
        return FRAMES

    def over() -> np.ndarray:
        frames = []
        for t in range(len(FRAMES)):
            frames.append(arriving.wait(t).copy())
            seen[t].set()
        return np.stack(frames)

    done, above = in_step(garments, over, arriving)
    return np.array_equal(done, FRAMES) and np.array_equal(above, FRAMES)


def test_both_work_at_once():
    assert with_two_threads("from test_in_step import *\nprint(frames_that_wait_for_each_other())") == ["True"]


def test_what_is_over_waits_for_each_frame_and_gets_it_as_it_came():
    arriving, got = Arriving(4, 1), []
    reader = threading.Thread(target=lambda: got.extend(arriving.wait(t).copy() for t in range(4)))
    reader.start()
    for t, frame in enumerate(FRAMES):
        assert len(got) <= t
        arriving.put(t, frame)
    reader.join(10)
    assert np.array_equal(got, FRAMES) and arriving.settle(FRAMES)


def test_a_frame_that_is_not_finite_or_does_not_come_is_told():
    arriving = Arriving(4, 1)
    arriving.put(0, FRAMES[0])
    arriving.put(1, np.full((1, 3), np.nan))
    assert np.array_equal(arriving.wait(0), FRAMES[0])
    with pytest.raises(Stale):
        arriving.wait(1)
    assert not arriving.settle(FRAMES), "one was followed that came otherwise"
    assert np.array_equal(arriving.wait(3), FRAMES[3])


def pieces_put_back(threads: int) -> tuple[np.ndarray, list[float]]:
    """What is over garments of which a piece is put back at the end, and all that it has seen."""
    arriving, seen = Arriving(4, 1), list[float]()

    def garments() -> np.ndarray:
        for t, frame in enumerate(FRAMES):
            arriving.put(t, frame + 1)
        return FRAMES

    def over() -> np.ndarray:
        frames = np.stack([arriving.wait(t).copy() for t in range(4)])
        seen.append(float(frames.min()))
        return frames

    numba.set_num_threads(threads)
    done, above = in_step(garments, over, arriving)
    assert np.array_equal(done, FRAMES)
    return above, seen


def test_what_followed_frames_that_were_put_back_is_done_again():
    program = """
import numpy
from test_in_step import FRAMES, pieces_put_back
for threads in (1, 2):
    above, seen = pieces_put_back(threads)
    print(numpy.array_equal(above, FRAMES), seen[-1] == 0)
"""
    assert with_two_threads(program) == ["True"] * 4


def garments_that_fail() -> str:
    """What is heard of an error, and whether whoever waited for frames has gone."""
    arriving, ended = Arriving(4, 1), threading.Event()

    def garments() -> np.ndarray:
        arriving.put(0, FRAMES[0])
        raise ValueError("torn")

    def over() -> None:
        try:
            arriving.wait(3)
        finally:
            ended.set()

    try:
        in_step(garments, over, arriving)
    except ValueError as error:
        return f"{error}-{ended.is_set()}"
    return "nothing"


def test_an_error_of_the_garments_is_heard_and_nobody_waits_on():
    assert with_two_threads("from test_in_step import *\nprint(garments_that_fail())") == ["torn-True"]
