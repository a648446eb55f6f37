"""Without the modules, functions and signals of POSIX alone, all our modules can be imported and a job's stages run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROGRAM = """
import ctypes, importlib, os, pathlib, signal, sys, types

OURS = ("ani3d_formats", "ani3dhuman", "engine")
POSIX = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline")
SIGNALS = ("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGSTOP", "SIGCONT")
FUNCTIONS = ("fork", "killpg", "getpgid", "setsid", "getuid", "geteuid", "uname", "nice", "mkfifo", "WNOHANG")


def import_ours():
    files = [path for package in OURS for path in pathlib.Path(package).rglob("*.py") if path.stem != "__main__"]
    for path in sorted(files):
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    return len(files)


class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in POSIX:
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)


def peak(process, sizes, length):
    assert length == 80
    sizes[1] = 1_500_000_000


import_ours()  # so that what others wrote is there: it has its own ways on Windows, which cannot be followed here
import torch._dynamo
for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
    del sys.modules[name]
for name in POSIX:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
for module, names in ((signal, SIGNALS), (os, FUNCTIONS)):
    for name in names:
        delattr(module, name)
sys.platform = "win32"
ctypes.windll = types.SimpleNamespace(kernel32=types.SimpleNamespace(K32GetProcessMemoryInfo=peak))
assert import_ours() > 150

from synthetic import make_shot
from ani3dhuman.pipeline.job import Job
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.stages import Layer
from ani3dhuman.rigid import pose_rigid

job = Job(make_shot(2), Settings.from_dict({"preset": "draft"}), pathlib.Path(sys.argv[1]), None, lambda: False)
for _ in range(2):  # the second time it is found finished
    rigid = job.run("rigid", "key", 2, Layer, lambda progress: Layer(pose_rigid(job.shot, progress)))
assert len(rigid.vertices) == 2 and job.store.reused == ["rigid"]
assert job.peak_gb == {"rigid": 1.5}
for statement in ("import resource", "signal.SIGKILL", "os.killpg"):
    try:
        exec(statement)
    except (ImportError, AttributeError):
        continue
    raise AssertionError(statement)
"""


def test_modules_import_and_a_stage_runs(tmp_path):
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
