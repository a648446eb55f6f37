"""Kinds of characters, scenes and files that once failed, and the tests that hold each of them right; kinds of misuse.

python -m benchmarks.characters.cases [--out FILE] [--again]

Runs these tests, in Blender and in the engine's environment, and counts the kinds of which all pass. What was run at
the same commit is kept in the folder of FILE, file of tests by file, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLENDER = ROOT / ".venv-blender" / "bin" / "python"

# kind -> "file: words of test names"; files below tests/, in Blender where they lie in tests/blender
CASES: dict[str, tuple[str, ...]] = {
    "parented to a bone": ("blender/test_members.py: objects_on_bones robot_of_rigid_parts props_that_are_instances",),
    "parented with deformation, without a modifier": ("blender/test_modifiers.py: parented_only",),
    "armature scaled to zero at a later frame": ("blender/test_members.py: zero_in_some_frames",),
    "armature scaled to zero at the first frame": ("blender/test_members.py: zero_in_some_frames zero_in_all_frames",),
    "stretched bones": ("blender/test_modifiers.py: stretched squashed_parent",),
    "bendy bones": ("blender/test_modifiers.py: bendy",),
    "library override": ("blender/test_linked_characters.py: overridden", "blender/test_parts.py: linked_objects"),
    "linked without override": ("blender/test_linked_characters.py: linked", "blender/test_parts.py: linked_objects"),
    "instance of a collection": ("blender/test_linked_characters.py: instanced",),
    "hidden collection": ("blender/test_members.py: hidden_collections excluded_collection",),
    "geometry nodes that keep the vertices": ("blender/test_modifiers.py: smooth_by_angle",),
    "names": ("blender/test_paths.py: any_name", "formats/test_metadata.py: safe"),
    "kinds of pictures": ("blender/test_surfaces.py: colours_are_blenders not_blenders_colour",),
    "UDIM tiles": ("blender/test_surfaces.py: udim",),
    "second UV map": ("blender/test_surfaces.py: colours_are_blenders",),
    "mapping nodes": ("blender/test_surfaces.py: colours_are_blenders",),
    "node graphs": (
        "blender/test_surfaces.py: colours_are_blenders opacity_is_blenders",
        "blender/test_surface_faults.py: shine_over",
    ),
    "suns": ("blender/test_lights.py: sun nodes lights light",),
    "cameras": ("blender/test_camera.py: projection refused mirrored scales markers never_sees hidden",),
    "odd meshes": (
        "blender/test_members.py: odd_meshes finite_place", "blender/test_surfaces.py: odd_meshes",
        "pipeline/test_odd_shots.py: test", "blender/test_modifiers.py: limited two_armatures volume",
    ),
    "cloth that nothing holds": ("cloth/test_holding.py: test",),
    "results in instances, linked, without the extension": (
        "blender/test_playback.py: instance linked two_scenes", "blender/test_imported_results.py: test",
    ),
    "words for regions": ("regions/test_words.py: test",),
    "time remapping": ("blender/test_playback.py: remapping negative",),
    "uneven bones of a generated rig": ("blender/test_modifiers.py: stretched volume",),
    "full disk": ("test_command_failures.py: full_disk", "blender/test_bad_input.py: fills_up"),
}  # fmt: skip


MISUSE = "blender/test_misuse_*.py"  # each case of these is something that nobody should do
SKIPPED, FAILED = "?", "!"  # before the name of a test


class Results:
    """By file the names of the tests that were run; `FAILED` or `SKIPPED` before those that did not pass."""

    def __init__(self, kept: Path, again: bool) -> None:
        self._kept, self._commit = kept, _commit()
        before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() and not again else {}
        self.tests: dict[str, list[str]] = before.get("tests", {}) if before.get("commit") == self._commit else {}

    def run(self, file: str, words: set[str]) -> None:
        """Run the tests of one file, those with one of `words` in their names or all, in a process of its own."""
        key = f"{file}: {' or '.join(sorted(words))}"
        if key not in self.tests:
            self.tests[key] = _run(file, words)
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            kept = {"commit": self._commit, "tests": self.tests}
            self._kept.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        bad = sum(name.startswith(FAILED) for name in self.tests[key])
        print(f"{file}: {len(self.tests[key])} tests, {bad} failed", flush=True)

    def of(self, file: str) -> list[str]:
        """The tests of a file."""
        return [test for key, tests in self.tests.items() if key.startswith(f"{file}: ") for test in tests]


def _commit() -> str:
    """What is checked out, with what was changed since."""
    told = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True).stdout
        for words in (("rev-parse", "HEAD"), ("diff", "HEAD"))
    ]
    return hashlib.sha256(b"".join(told)).hexdigest()


def _run(file: str, words: set[str]) -> list[str]:
    in_blender = file.startswith("blender/")
    command = [str(BLENDER) if in_blender else sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"tests/{file}", *(["-m", "blender"] if in_blender else [])]
    command += ["-k", " or ".join(sorted(words))] if words else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, capture_output=True)
        found = []
        for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
            tags = {child.tag for child in case}
            mark = FAILED if tags & {"failure", "error"} else SKIPPED if "skipped" in tags else ""
            found.append(mark + case.attrib["name"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench" / "cases.json")
    parser.add_argument("--again", action="store_true", help="run also what was run at this commit")
    options = parser.parse_args()
    wanted: dict[str, set[str]] = {}
    for lines in CASES.values():
        for line in lines:
            file, words = line.split(": ")
            wanted.setdefault(file, set()).update(words.split())
    misuse = sorted(f"blender/{path.name}" for path in (ROOT / "tests").glob(MISUSE))
    results = Results(options.out.with_name("cases_tests.json"), options.again)
    for file, names in wanted.items():
        results.run(file, names)
    for file in misuse:
        results.run(file, set())
    right = {name: _is_right(lines, results) for name, lines in CASES.items()}
    for name in (name for name, well in right.items() if not well):
        print(f"not right: {name}")
    bad = [f"{file}: {test}" for file in misuse for test in results.of(file) if test.startswith(FAILED)]
    for name in bad:
        print(f"misuse, not well: {name}")
    tried = sum(not test.startswith(SKIPPED) for file in misuse for test in results.of(file))
    figures: dict[str, float] = {"cases": len(CASES), "cases_ok": sum(right.values()) / len(CASES)}
    figures |= {"misuse": tried, "misuse_kinds": len(_kinds(misuse, results)), "misuse_bad": len(bad)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(json.dumps(figures, indent=2))
    return 0 if all(right.values()) and not bad else 1


def _kinds(files: list[str], results: Results) -> set[str]:
    """The functions of tests that were run, which try one kind of misuse each."""
    return {f"{f}: {test.split('[')[0].lstrip(FAILED)}" for f in files for test in results.of(f) if test[0] != SKIPPED}


def _is_right(lines: tuple[str, ...], results: Results) -> bool:
    """Whether every word of a kind names tests, and all of those passed."""
    for line in lines:
        file, words = line.split(": ")
        for word in words.split():
            named = [test for test in results.of(file) if word in test]
            if not named or any(test[0] in (FAILED, SKIPPED) for test in named):
                return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
