"""`python -m tests.e2e.matrix report DIRECTORY [DOCUMENT]`: the tables of what `make matrix` saved there.

Printed, or put between the marks of a document: `docs/failover.md`. A table of which nothing was saved is left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.matrix.cases import CASES
from tests.e2e.matrix.kinds import PAIRS, place
from tests.e2e.matrix.report import KINDS, MATRIX, into, kinds_table, table
from tests.e2e.matrix.results import load


def main(words: Sequence[str]) -> str:
    """Carry out one command line; what there is to say about it."""
    match words:
        case ["report", directory]:
            return "\n".join(_tables(Path(directory)).values())
        case ["report", directory, document]:
            path = Path(document)
            tables = _tables(Path(directory))
            text = path.read_text()
            for mark, made in tables.items():
                text = into(text, made, mark)
            path.write_text(text)
            return f"written to {document}: {', '.join(tables) or 'nothing'}\n"
        case _:
            return __doc__ or ""


def _tables(directory: Path) -> Mapping[str, str]:
    """By mark."""
    made = {}
    plain = {name: load(directory, case) for name, case in CASES.items()}
    if any(plain.values()):
        made[MATRIX] = table(plain, CASES.values())
    pairs = {
        (str(active), str(standby)): {
            name: load(directory / place(active, standby), case) for name, case in CASES.items()
        }
        for active, standby in PAIRS
    }
    if any(rounds for by_case in pairs.values() for rounds in by_case.values()):
        made[KINDS] = kinds_table(pairs, CASES.values())
    return made


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
