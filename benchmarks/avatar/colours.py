"""How many ways to colour and light a surface come out as Blender's: python -m benchmarks.avatar.colours.

Runs the tests that compare exported colours with Cycles' picture (mean within 3/255, or one warning that names the
material) and exported suns and lamps with Cycles' light, and counts; figures go among those of out/bench/avatar.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TESTS = {
    "colours": ["test_surfaces.py", "are_blenders or is_blenders or tile or said_once"],
    "lights": ["test_lights.py", "as_they_do_in_cycles or named or switched_off"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=".venv-blender/bin/python", help="of a Blender")
    parser.add_argument("--out", type=Path, default=Path("out/bench/avatar.json"))
    options = parser.parse_args()
    found: dict[str, float] = {}
    for name, (file, chosen) in TESTS.items():
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "tests.xml"
            command = [options.python, "-m", "pytest", "-q", "-m", "blender", "-p", "no:cacheprovider"]
            subprocess.run([*command, f"--junit-xml={report}", "-k", chosen, f"tests/blender/{file}"], check=False)
            every = ElementTree.parse(report).getroot().iter("testcase")
            cases = [case for case in every if case.find("skipped") is None]
        if not cases:
            raise SystemExit(f"no test of {name} ran: pytest's words are above")
        failed = [
            case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None
        ]
        print(f"{name}: {len(cases) - len(failed)} of {len(cases)}; failed: {failed}")
        found |= {f"{name}_cases": len(cases), f"{name}_failed": len(failed)}
    total = sum(value for name, value in found.items() if name.endswith("_cases"))
    found["colour_cases_ok"] = round(1 - sum(found[f"{name}_failed"] for name in TESTS) / total, 4)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    options.out.write_text(json.dumps(known | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
