"""Counts the lines of Python in a project of each level, and writes the table into README.md."""

import sys
import tempfile
from pathlib import Path

from scripts.dev import ROOT
from scripts.rendered import Answers, render

README = ROOT / "README.md"
BEGIN, END = "<!-- lines -->\n", "<!-- /lines -->"

# One project of each level stands for it.
SAMPLES: dict[str, Answers] = {
    "1 hello world, memory": {"level": 1, "store": "memory"},
    "2 agent, OpenAI, SQLite": {"level": 2, "store": "sqlite", "provider": "openai"},
    "3 production, OpenAI, PostgreSQL": {"level": 3, "store": "postgres", "provider": "openai"},
}
YOURS = {"hello.py", "agent.py", "tools.py", "actions.py"}


def main() -> int:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    counted = table()
    print(counted, end="")
    updated = before + BEGIN + counted + END + after
    if "--check" in sys.argv[1:]:
        return int(updated != text)
    README.write_text(updated, encoding="utf-8", newline="\n")
    return 0


def table() -> str:
    """The lines of each level, rounded to 50 so that a small change leaves the README alone."""
    rows = ["| level | files in `app/` | lines | of them yours to edit |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as scratch:
        projects = [Path(scratch) / str(number) for number in range(len(SAMPLES))]
        render(dict(zip(projects, SAMPLES.values(), strict=True)))
        for project, name in zip(projects, SAMPLES, strict=True):
            rows.append(row(name, project / "backend"))
    return "\n".join(rows) + "\n"


def row(name: str, backend: Path) -> str:
    files, total, own = counted(backend)
    return f"| {name} | {files} | {round(total / 50) * 50} | {own} |"


def counted(backend: Path) -> tuple[int, int, int]:
    """The modules in app/, their lines with main.py's, and how many of those are the user's."""
    modules = [path for path in (backend / "app").glob("*.py") if path.name != "__init__.py"]
    total = sum(map(lines_of, [backend / "main.py", *modules]))
    own = sum(lines_of(path) for path in modules if path.name in YOURS)
    return len(modules), total, own


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
