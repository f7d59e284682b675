"""`python -m tests.e2e.matrix report DIRECTORY [DOCUMENT]`: the table of what `make matrix` saved there.

Printed, or put between the marks of a document: `docs/failover.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.matrix.cases import CASES
from tests.e2e.matrix.report import into, table
from tests.e2e.matrix.results import load


def main(words: Sequence[str]) -> str:
    """Carry out one command line; what there is to say about it."""
    match words:
        case ["report", directory]:
            return _table(Path(directory))
        case ["report", directory, document]:
            path = Path(document)
            path.write_text(into(path.read_text(), _table(Path(directory))))
            return f"the table is in {document}\n"
        case _:
            return __doc__ or ""


def _table(directory: Path) -> str:
    rounds = {name: load(directory, case) for name, case in CASES.items()}
    return table(rounds, CASES.values())


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
