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


def main() -> int:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    now = table()
    print(now, end="")
    updated = before + BEGIN + now + END + after
    if "--check" in sys.argv[1:]:
        return int(updated != text)
    README.write_text(updated, encoding="utf-8", newline="\n")
    return 0


def table() -> str:
    """The lines of each level, rounded, so that a small change leaves the README alone."""
    rows = ["| level | yours, in `app/` | the template's, in `core/` |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as scratch:
        projects = [Path(scratch) / str(number) for number in range(len(SAMPLES))]
        render(dict(zip(projects, SAMPLES.values(), strict=True)))
        for project, name in zip(projects, SAMPLES, strict=True):
            yours, core = (counted(project / "backend" / part) for part in ("app", "core"))
            rows.append(f"| {name} | {round(yours, -1)} | {round(core / 50) * 50} |")
    return "\n".join(rows) + "\n"


def counted(folder: Path) -> int:
    """The lines of Python in a folder, without its tests."""
    modules = (path for path in folder.rglob("*.py") if not path.name.startswith("test_"))
    return sum(map(lines_of, modules))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
