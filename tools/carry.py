# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies the packages that the add-on shares with the engine into the extension, below `carried`.

Blender puts what a wheel holds where every add-on imports from, and names like `engine` may be another's. Inside
the extension nothing can meet them: `from engine.wire import Client` becomes `from .carried.wire import Client`.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CARRIED = {"engine.wire": "wire", "ani3d_formats": "formats"}  # package of the repository -> its name below `carried`
FOREIGN = ("engine", "ani3d_formats", "ani3dhuman")  # packages that no file of the extension may import by name
DOCSTRING = (
    '"""What the extension shares with the engine, copied here when it was built. Licence: LICENSE beside it."""\n'
)
_IMPORT = re.compile(rf"from ({'|'.join(map(re.escape, CARRIED))})((?:\.\w+)*) import ")


def carry(stage: Path) -> None:
    """Copy CARRIED into the extension's folder `stage`, and have every file there import from the copies.

    Raises:
        SystemExit: a file does not compile, or still imports one of FOREIGN.
    """
    carried = stage / "carried"
    carried.mkdir()
    (carried / "__init__.py").write_text(DOCSTRING, encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", carried)
    for package, name in CARRIED.items():
        source = ROOT.joinpath(*package.split("."))
        shutil.copytree(source, carried / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in sorted(stage.rglob("*.py")):
        place = file.relative_to(stage)
        text = relative_imports(file.read_text(encoding="utf-8"), len(place.parts), str(place))
        file.write_text(text, encoding="utf-8")


def relative_imports(text: str, depth: int, name: str) -> str:
    """The Python file `text` with imports of CARRIED made relative; its lines stay where they are.

    Args:
        depth: how many parts its path below the extension's folder has, 1 for a file right in it.
        name: its path, for messages.
    """
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            line = lines[node.lineno - 1]
            start, rest = line[: node.col_offset], line[node.col_offset :]
            lines[node.lineno - 1] = start + _IMPORT.sub(
                lambda found: f"from {'.' * depth}carried.{CARRIED[found[1]]}{found[2]} import ", rest, count=1
            )
    text = "".join(lines)
    for node in ast.walk(ast.parse(text, name)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        absolute = [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for module in [alias.name for alias in node.names] if isinstance(node, ast.Import) else absolute:
            if module and module.split(".")[0] in FOREIGN:
                raise SystemExit(f"{name}, line {node.lineno}: '{module}' cannot be imported inside Blender.")
    compile(text, name, "exec")
    return text
