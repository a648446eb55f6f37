"""The bars that `python -m tools.shape` holds the code to: each is seen to fail on a small tree made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import shape

CLEAN = {
    "ani3d_formats/__init__.py": "",
    "ani3d_formats/shot.py": "import json\nimport numpy as np\n",
    "ani3dhuman/__init__.py": "",
    "ani3dhuman/cli.py": "from .mesh import area\n\nif __name__ == '__main__':\n    area.main()\n",
    "ani3dhuman/mesh/__init__.py": "",
    "ani3dhuman/mesh/area.py": "from ani3d_formats import shot\n",
    "engine/__init__.py": "",
    "engine/__main__.py": "from ani3d_formats import shot\n",
    "tests/helper.py": "",
    "tests/test_area.py": "import helper\nfrom ani3dhuman.mesh import area\n",
}
FILES = "circles of files"
PACKAGES = "circles of packages"
LONG = "files over 400 lines"
PARAMETERS = "functions with too many parameters"
UNREAD = "modules nobody imports"
DIRECTION = "imports in a wrong direction"


def findings(root: Path, files: dict[str, str]) -> dict[str, list[str]]:
    """What breaks a bar in the clean tree with some files changed; bars that hold are left out."""
    for name, text in {**CLEAN, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {bar: lines for bar, lines in shape.findings(root).items() if lines}


def test_a_clean_tree_breaks_no_bar(tmp_path: Path) -> None:
    assert findings(tmp_path, {}) == {}


@pytest.mark.parametrize(
    "back",
    [
        "from ..cli import main\n",
        "def late():\n    import ani3dhuman.cli\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ani3dhuman.cli import main\n",
        "from .length import x\n",
    ],
    ids=["module level", "in a function", "for types", "through a third"],
)
def test_a_circle_of_files(tmp_path: Path, back: str) -> None:
    files = {"ani3dhuman/mesh/area.py": back, "ani3dhuman/mesh/length.py": "from .. import cli\n"}
    circle = findings(tmp_path, files)[FILES]
    assert len(circle) == 1
    assert circle[0].startswith("ani3dhuman.cli <-> ani3dhuman.mesh.area")


def test_a_circle_of_packages_without_one_of_files(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        {
            "ani3dhuman/cli.py": "from .mesh import area\nfrom .cloth import solver\nif __name__ == '__main__': ...\n",
            "ani3dhuman/mesh/area.py": "from ..cloth import fabric\n",
            "ani3dhuman/mesh/edges.py": "",
            "ani3dhuman/cloth/__init__.py": "",
            "ani3dhuman/cloth/fabric.py": "",
            "ani3dhuman/cloth/solver.py": "from ..mesh.edges import edges\n",
        },
    )
    assert found == {PACKAGES: ["ani3dhuman.cloth <-> ani3dhuman.mesh"]}


def test_a_circle_of_a_package_and_a_file_beside_it(tmp_path: Path) -> None:
    cli = "from .mesh import area\nfrom . import words\nif __name__ == '__main__': ...\n"
    found = findings(
        tmp_path,
        {
            "ani3dhuman/cli.py": cli,
            "ani3dhuman/words.py": "from .mesh import area\n",
            "ani3dhuman/mesh/area.py": "from . import length\n",
            "ani3dhuman/mesh/length.py": "",
            "ani3dhuman/mesh/__init__.py": "from ..words import word\n",
        },
    )
    assert found == {PACKAGES: ["ani3dhuman.mesh <-> ani3dhuman.words"]}


def test_a_long_file(tmp_path: Path) -> None:
    assert findings(tmp_path, {"ani3dhuman/mesh/area.py": "\n" * 400}) == {}
    assert findings(tmp_path, {"ani3dhuman/mesh/area.py": "\n" * 401}) == {LONG: ["ani3dhuman.mesh.area: 401 lines"]}


def parameters(count: int) -> str:
    return ", ".join(f"p{i}" for i in range(count))


def test_functions_with_many_parameters(tmp_path: Path) -> None:
    kernels = f"@njit(cache=True)\ndef step({parameters(12)}): ...\n@njit\ndef leap({parameters(13)}): ...\n"
    area = f"""from .kernels import step
class Area:
    def fits(self, {parameters(8)}): ...
    def breaks(self, {parameters(7)}, *, more, **rest): ...
def near({parameters(12)}): step()
def too_near({parameters(13)}): step()
def far({parameters(9)}): step
"""
    found = findings(tmp_path, {"ani3dhuman/mesh/kernels.py": kernels, "ani3dhuman/mesh/area.py": area})
    assert found == {
        PARAMETERS: [
            "ani3dhuman.mesh.area.too_near: 13 parameters, 12 allowed",
            "ani3dhuman.mesh.area.far: 9 parameters, 8 allowed",
            "ani3dhuman.mesh.area.breaks: 9 parameters, 8 allowed",
            "ani3dhuman.mesh.kernels.leap: 13 parameters, 12 allowed",
        ]
    }


def test_modules_nobody_imports(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        {
            "ani3dhuman/mesh/lost.py": "from . import also_lost\n",
            "ani3dhuman/mesh/also_lost.py": "",
            "ani3dhuman/mesh/only_tested.py": "",
            "tests/test_area.py": "import helper\nfrom ani3dhuman.mesh import area, only_tested\n",
            "tests/nobodys_helper.py": "",
            "ani3dhuman/models/__init__.py": "",
            "ani3dhuman/models/wan.py": "",
            "ani3dhuman/models/registry.toml": '[[model]]\nloader = "ani3dhuman.models.wan:prepare"\n',
            "examples/film.py": "from ani3dhuman import cli\nrun('session.py')\nif __name__ == '__main__': ...\n",
            "examples/session.py": "",
        },
    )
    assert found == {
        UNREAD: [
            "ani3dhuman.mesh.also_lost",
            "ani3dhuman.mesh.lost",
            "ani3dhuman.mesh.only_tested",
            "tests.nobodys_helper",
        ]
    }


@pytest.mark.parametrize(
    "name, text, wrong",
    [
        ("ani3d_formats/shot.py", "from scipy import sparse\n", "ani3d_formats.shot imports scipy"),
        ("ani3d_formats/shot.py", "import ani3dhuman\n", "ani3d_formats.shot imports ani3dhuman"),
        ("ani3dhuman/mesh/area.py", "def f():\n    import bpy\n", "ani3dhuman.mesh.area imports bpy"),
        ("ani3dhuman/mesh/area.py", "from engine import server\n", "ani3dhuman.mesh.area imports engine.server"),
        ("engine/wire/codec.py", "from engine import server\n", "engine.wire.codec imports engine.server"),
        ("engine/wire/codec.py", "import torch\n", "engine.wire.codec imports torch"),
        ("blender_addon/__init__.py", "import torch\n", "blender_addon imports torch"),
        (
            "blender_addon/__init__.py",
            "from ani3dhuman.mesh import area\n",
            "blender_addon imports ani3dhuman.mesh.area",
        ),
        ("ani3dhuman/cli.py", "import helper\n", "ani3dhuman.cli imports tests.helper"),
    ],
)
def test_an_import_in_a_wrong_direction(tmp_path: Path, name: str, text: str, wrong: str) -> None:
    files = {"engine/server.py": "", "engine/wire/__init__.py": ""}
    assert findings(tmp_path, {**files, name: text})[DIRECTION] == [wrong]


def test_the_command_prints_its_counts_and_fails_where_a_bar_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    findings(tmp_path, {})
    assert shape.main(tmp_path) == 0
    assert "lines of ani3d_formats, ani3dhuman, engine, blender_addon: 8" in capsys.readouterr().out
    findings(tmp_path, {"ani3dhuman/mesh/area.py": "\n" * 401})
    assert shape.main(tmp_path) == 1
    assert "ani3dhuman.mesh.area: 401 lines" in capsys.readouterr().out


def test_this_tree_breaks_no_bar() -> None:
    broken = {bar: lines for bar, lines in shape.findings(Path(shape.__file__).parents[1]).items() if lines}
    assert broken == {}
