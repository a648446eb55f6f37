"""The formats package stands on NumPy alone, so that Blender's Python can carry it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ani3d_formats

FOLDER = Path(ani3d_formats.__file__).parent
MODULES = sorted(f"ani3d_formats.{file.stem}" for file in FOLDER.glob("*.py") if file.stem != "__init__")

ONLY_NUMPY = """
import importlib, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("numpy", "ani3d_formats"):
            raise ModuleNotFoundError(f"hidden: {name}")
sys.meta_path.insert(0, Nothing())
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1)
"""


def test_numpy_is_all_it_needs() -> None:
    command = [sys.executable, "-c", ONLY_NUMPY, *MODULES]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == str(len(MODULES)), done.stderr


def test_it_imports_nothing_else_of_the_project() -> None:
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            tops = {name.partition(".")[0] for name in modules}
            assert tops <= {*sys.stdlib_module_names, "numpy", "__future__"}, f"{file.name} imports {tops}"
