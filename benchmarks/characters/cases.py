"""Kinds of characters, scenes and files that once failed, and the tests that hold each of them right.

python -m benchmarks.characters.cases [--out FILE]

Runs these tests, in Blender and in the engine's environment, and counts the kinds of which all pass.
"""

from __future__ import annotations

import argparse
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


def run(python: str, files: dict[str, set[str]], *arguments: str) -> dict[str, set[str]]:
    """Run test files; by file the names of the tests that passed, and those that did not with a "!" before them."""
    found: dict[str, set[str]] = {file: set() for file in files}
    with tempfile.TemporaryDirectory() as folder:
        for file in files:  # one file a process, as Blender keeps much between files
            report = Path(folder) / "report.xml"
            words = " or ".join(sorted(files[file]))
            command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{file}", "-k", words, *arguments]
            subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, capture_output=True)
            for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
                bad = any(child.tag in ("failure", "error", "skipped") for child in case)
                found[file].add(("!" if bad else "") + case.attrib["name"])
            report.unlink(missing_ok=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench" / "cases.json")
    options = parser.parse_args()
    wanted: dict[str, set[str]] = {}
    for lines in CASES.values():
        for line in lines:
            file, words = line.split(": ")
            wanted.setdefault(file, set()).update(words.split())
    results = run(str(BLENDER), {f: w for f, w in wanted.items() if f.startswith("blender/")}, "-m", "blender")
    results |= run(sys.executable, {f: w for f, w in wanted.items() if not f.startswith("blender/")})
    right = {name: _is_right(lines, results) for name, lines in CASES.items()}
    for name in (name for name, well in right.items() if not well):
        print(f"not right: {name}")
    figures = {"cases": len(CASES), "cases_ok": sum(right.values()) / len(CASES)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(f"{sum(right.values())} of {len(CASES)} kinds are right")
    return 0 if all(right.values()) else 1


def _is_right(lines: tuple[str, ...], results: dict[str, set[str]]) -> bool:
    """Whether every word of a kind names tests, and all of those passed."""
    for line in lines:
        file, words = line.split(": ")
        for word in words.split():
            named = [test for test in results[file] if word in test]
            if not named or any(test.startswith("!") for test in named):
                return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
