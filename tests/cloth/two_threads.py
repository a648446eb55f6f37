"""Programs that have two of numba's threads, whatever the tests' own processes have."""

import os
import subprocess
import sys
from pathlib import Path

PLACES = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:2])


def with_two_threads(program: str) -> list[str]:
    """What a program prints, word by word, that has two of numba's threads."""
    place = {
        **os.environ,
        "NUMBA_NUM_THREADS": "2",
        "PYTHONPATH": f"{PLACES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=place, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()
