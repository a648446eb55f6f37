"""Run the hard set, judge it, and write the table: python -m benchmarks.cloth [NAME ...] [--again].

Rows are kept in out/cloth_hard until a sequence, the solver or the judge changes; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse

from .hard_set import SEQUENCES
from .rows import HARD, row, told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="sequences; all when empty")
    parser.add_argument("--again", action="store_true", help="also those that are kept")
    options = parser.parse_args()
    rows = []
    for name in options.names or SEQUENCES:
        rows.append(row(name, options.again))
        print(told(rows[-1]), flush=True)
    well = sum(one["success"] for one in rows)
    print(f"{well} of {len(rows)} sequences hold; pictures: {HARD / 'pictures'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
