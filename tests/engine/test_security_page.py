"""Every line of the page on security names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = [line for line in (ROOT / "docs/security.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
ROWS = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in TABLE[2:]]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_line_names_tests_that_are_there(row: tuple[str, str, str]) -> None:
    _threat, _what_stops_it, cell = row
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", cell)
    assert named, "no test"
    for file, function in named:
        path = ROOT / file if "/" in file else ROOT / "tests/engine" / file
        assert path.is_file(), file
        assert not function or f"\ndef {function}(" in path.read_text(encoding="utf-8"), function
