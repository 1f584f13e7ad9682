"""What `copier update` could not merge: no mark of it is left, not in a text either."""

from pathlib import Path

BACKEND = Path(__file__).resolve().parents[2]


def test_no_conflict_is_left_in_a_file() -> None:
    files = [*BACKEND.parent.glob("*.*"), *BACKEND.glob("*.*")]
    for folder in ("app", "core", "tests", "migrations"):
        files += (BACKEND / folder).rglob("*.*")
    conflicts = [
        f"{file.relative_to(BACKEND.parent)}:{number}"
        for file in files
        if file.is_file()
        for number, line in enumerate(file.read_bytes().splitlines(), start=1)
        if line.startswith((b"<<<<<<< before updating", b">>>>>>> after updating"))
    ]
    assert not conflicts
