"""`ani3dhuman models` and `ani3dhuman doctor` as a user meets them."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gsplat
import pytest
import torch

from ani3dhuman.cli import main
from ani3dhuman.models.machine import Device, Machine
from ani3dhuman.models.registry import adapters_of, known_models, priors


def test_list_names_every_model_with_licence_state_and_pin(capsys, root):
    assert main(["models", "list", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for model in known_models().values():
        line = next(line for line in lines if line.startswith(model.name + " "))
        assert model.licence in line
        assert ((model.revision or "")[:12] or ("ships" if model.ships else "not pinned")) in line
        assert ("installed" if model.ships else " no ") in line
    assert str(root) in lines[-1]


def test_fetch_verify_path(capsys, tiny, hub, root):
    assert main(["models", "fetch", "tiny", "--root", str(root)]) == 0
    assert "licence: CC0" in capsys.readouterr().out
    assert main(["models", "verify", "--root", str(root)]) == 0
    assert "tiny: " in capsys.readouterr().out
    assert main(["models", "path", "tiny", "--root", str(root)]) == 0
    assert Path(capsys.readouterr().out.strip()) == root / "tiny"
    (root / "tiny" / "transformer" / "config.json").unlink()
    assert main(["models", "list", "--root", str(root)]) == 0
    assert "partial" in capsys.readouterr().out
    (root / "tiny" / "models.lock.json").write_text("{")
    assert main(["models", "list", "--root", str(root)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_a_model_without_commercial_use_is_fetched_only_by_whoever_says_so(capsys, change, hub, root):
    change(commercial=False, licence="CC-BY-NC-SA-4.0")
    assert main(["models", "fetch", "tiny", "--root", str(root)]) == 1
    assert "allows no commercial use (CC-BY-NC-SA-4.0)" in capsys.readouterr().err
    assert not (root / "tiny").exists()
    assert main(["models", "fetch", "tiny", "--non-commercial", "--root", str(root)]) == 0


def test_adapters_without_commercial_use_are_not_offered():
    offered = {other.name for model in known_models() for other in adapters_of(model)}
    assert {model.name for model in known_models().values() if model.distilled} - offered == {"causvid-1.3b"}


def test_errors_say_what_to_do(capsys, root):
    assert main(["models", "path", "wan2.1-vace-1.3b", "--root", str(root)]) == 1
    problem = capsys.readouterr().err
    assert "model_index.json" in problem and f"models fetch wan2.1-vace-1.3b --root {root}" in problem
    assert main(["models", "fetch", "sora"]) == 1
    assert "wan2.1-vace-14b" in capsys.readouterr().err
    assert main(["models", "fetch", "wan2.1-vace-1.3b", "--offline", "--root", str(root)]) == 1
    assert "hf download Wan-AI/Wan2.1-VACE-1.3B-diffusers --revision ec4d2cb" in capsys.readouterr().err


def test_the_shipped_prior_is_always_there(capsys):
    assert main(["models", "path", "compact"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "config.json").is_file()
    assert main(["models", "verify", "compact"]) == 0


@pytest.mark.skipif(os.name == "nt", reason="sends Ctrl-C as POSIX does")
def test_ctrl_c_leaves_what_has_come_and_the_next_fetch_goes_on(hub, root, tmp_path):
    name, data = "wan2.1-vace-14b_lora.safetensors", bytes(range(256)) * 400_000  # 102 MB
    program = tmp_path / "fetch.py"
    program.write_text(
        "import sys\n"
        "from ani3dhuman.cli import main\n"
        "from ani3dhuman.models import registry\n"
        f"file = registry.ModelFile({name!r})\n"
        "model = registry.Model('one', 'lora', 'CC0', 0.1, (file,), (), '', repository='someone/tiny')\n"
        "registry.known_models = lambda: {'one': model}\n"
        "sys.exit(main(['models', 'fetch', 'one', '--root', sys.argv[1]]))\n"
    )
    hub.files[name] = data
    hub.pause = 0.05  # seconds a megabyte
    command = [sys.executable, str(program), str(root)]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not any(partial.stat().st_size > 10_000_000 for partial in root.rglob("*.partial")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 130 and "run it again to go on" in problem
    done = next(root.rglob("*.partial")).stat().st_size
    assert 10_000_000 < done < len(data)
    hub.pause = 0
    hub.asked.clear()
    again = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert again.returncode == 0, again.stderr
    assert hub.asked == [(name, done)]
    assert (root / "one" / name).read_bytes() == data


def test_doctor_tells_this_machine(capsys, root):
    assert main(["doctor", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Python {platform.python_version()}, {platform.system()} ")
    assert lines[0].endswith(f"PyTorch {torch.__version__}")
    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    assert lines[1].startswith(f"CUDA: {card}")
    assert lines[2].startswith(f"gsplat: {gsplat.__version__}")
    free = shutil.disk_usage(root.parent).free / 1e9
    assert float(lines[3].split(" GB in ")[0].split()[-1]) == pytest.approx(free, abs=1)
    there = importlib.util.find_spec("accelerate") is not None
    assert f"accelerate: {'installed' if there else 'not installed'}" in lines[4]
    models = lines[lines.index("") + 1 :][: len(known_models())]
    states = {line.split()[0]: line.split(maxsplit=1)[1] for line in models}
    assert states == {name: "installed" if model.ships else "no" for name, model in known_models().items()}
    assert torch.cuda.is_available() or any(line.startswith("memory tier: CPU;") for line in lines)


def test_doctor_chooses_the_tier_of_the_card(root):
    from ani3dhuman.commands.doctor import report
    from ani3dhuman.models.shapes import ClipShape

    def told(*devices: Device) -> str:
        machine = Machine("3.11", "Linux", "2.6", devices, "1.5", 16.0, 100.0, {"accelerate": True})
        return report(machine, root, ClipShape(480, 832, 81, references=1))

    assert "memory tier: 12 GB" in told(Device("RTX 4070", 12.9), Device("GT 710", 2.1))
    large = next(
        line for line in told(Device("RTX 4090", 25.7)).splitlines() if "vace-14b" in line and "predicted" in line
    )
    assert "block offload" in large and "35 GB of host memory wanted" in large
    assert "memory tier: below 8 GB" in told(Device("GTX 1650", 4.3))


def test_doctor_table_has_every_prior_on_every_tier(capsys):
    assert main(["doctor", "--table"]) == 0
    told = capsys.readouterr().out
    for tier in ("24 GB", "16 GB", "12 GB", "8 GB", "CPU"):
        assert len(re.findall(rf"^wan\S+\s+{tier}", told, re.MULTILINE)) == len(priors())


def test_doctor_shot_gives_minutes_or_says_what_does_not_fit(capsys):
    assert main(["doctor", "--shot", "480x832", "--frames", "81"]) == 0
    told = capsys.readouterr().out
    line = next(line for line in told.splitlines() if line.startswith("wan2.1-vace-1.3b") and "14 passes" in line)
    minutes = [float(value) for value in line.split()[-5:]]
    assert minutes[0] > minutes[1] > minutes[2] > minutes[4] and minutes[3] > minutes[2]
    assert "4 passes, lightx2v-14b" in told
    assert main(["doctor", "--shot", "1920x1088", "--frames", "81"]) == 0
    assert "does not fit" in capsys.readouterr().out
    assert main(["doctor", "--shot", "large"]) == 1
    assert main(["doctor", "--shot", "480x832", "--frames", "0"]) == 1
