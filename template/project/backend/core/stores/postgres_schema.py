"""Which schema the database must have: the newest revisions of core and of the project's own."""

import re
from collections.abc import Collection
from itertools import chain

from core.settings import BACKEND

# As in alembic.ini.
FOLDERS = (BACKEND / "migrations" / "versions", BACKEND / "app" / "migrations")
REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=(.*)$", re.MULTILINE)
QUOTED = re.compile(r"[\"']([^\"']+)[\"']")


def wrong_schema(revisions: Collection[str]) -> str | None:
    """What is wrong with a database at these revisions, as a predicate and a remedy, or None."""
    known, behind = _revisions()
    newest = known - behind
    if set(revisions) == newest:
        return None
    if unknown := set(revisions) - known:
        return f"is newer than this program: it is at {_list(unknown)}. Update the program."
    state = f"is at {_list(revisions)}" if revisions else "has no tables"
    return f"{state}, not at {_list(newest)}. In backend/, run: alembic upgrade heads"


def _revisions() -> tuple[set[str], set[str]]:
    """Every revision, and those that another one follows."""
    # Not by Alembic's own reader: to import it takes more than a second.
    known: set[str] = set()
    behind: set[str] = set()
    for file in chain.from_iterable(folder.glob("*.py") for folder in FOLDERS):
        for down, value in REVISION.findall(file.read_text(encoding="utf-8")):
            (behind if down else known).update(QUOTED.findall(value))
    return known, behind


def _list(revisions: Collection[str]) -> str:
    return "revision " + ", ".join(sorted(revisions))
