"""Writes a project of each level into build/examples, and a page that compares them.

`make examples` runs it. The page, index.html, needs nothing else: it shows each level's files and
lines, and what changes from one level to the next.
"""

import difflib
import shutil
from html import escape
from pathlib import Path

from scripts.dev import ROOT
from scripts.lines import SAMPLES, counted, lines_of
from scripts.rendered import render

EXAMPLES = ROOT / "build" / "examples"


def main() -> int:
    page = write(EXAMPLES)
    print(f"Wrote a project of each level into {EXAMPLES.relative_to(ROOT).as_posix()}.")
    print(f"To compare them, open {page.as_uri()}")
    return 0


def write(folder: Path) -> Path:
    """Write the projects and the page. What the folder held is thrown away. Gives the page."""
    shutil.rmtree(folder, ignore_errors=True)
    projects = {name: folder / f"level-{answers['level']}" for name, answers in SAMPLES.items()}
    render({project: SAMPLES[name] for name, project in projects.items()})
    levels = []
    before: Path | None = None
    for name, project in projects.items():
        levels.append(level(name, project, before))
        before = project
    page = folder / "index.html"
    page.write_text(PAGE.replace("LEVELS", "".join(levels)), encoding="utf-8", newline="\n")
    return page


def level(name: str, project: Path, before: Path | None) -> str:
    """A section of the page: how long the project is, its tree, and what the level changes."""
    answers = " ".join(f"--data {question}={answer}" for question, answer in SAMPLES[name].items())
    yours, core = (counted(project / "backend" / part) for part in ("app", "core"))
    return f"""
<section id="{project.name}">
<h2>Level {escape(name)}</h2>
<p><b>{yours}</b> lines in app/ are yours, <b>{core}</b> in core/ the template's</p>
<p><code>copier copy {escape(answers)} gh:org/chatkit-template myapp</code></p>
<details><summary>All files</summary>
{tree(project, project)}
</details>
{changes(project, before) if before else ""}</section>
"""


def tree(folder: Path, project: Path) -> str:
    """The folder as a nested list: files first, then folders, as the README draws it."""
    rows = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir():
            rows.append(f"<li>{escape(path.name)}/{tree(path, project)}</li>")
        else:
            rows.append(f"<li>{link(path, project, path.name)} <i>{lines_of(path)}</i></li>")
    return f"<ul>{''.join(rows)}</ul>"


def link(path: Path, project: Path, text: str) -> str:
    address = f"{project.name}/{path.relative_to(project).as_posix()}"
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def changes(project: Path, before: Path) -> str:
    """What comes, changes and goes from the level before to this one, file by file."""
    old, new = files_of(before), files_of(project)
    parts = [f"<h3>What {escape(project.name.replace('-', ' '))} changes</h3>"]
    for path in sorted(old.keys() | new.keys()):
        was, now = lines_in(old.get(path)), lines_in(new.get(path))
        if was == now:
            continue
        kind = "new" if path not in old else "gone" if path not in new else "changed"
        rows = list(difflib.unified_diff(was, now, "before", "after", lineterm=""))[2:]
        plus = sum(row.startswith("+") for row in rows)
        minus = sum(row.startswith("-") for row in rows)
        shown = "\n".join(map(marked, rows))
        where = f"<p>{link(project / path, project, path)}</p>" if path in new else ""
        parts.append(
            f'<details class="{kind}"><summary>{escape(path)} <i>{kind} +{plus} &minus;{minus}</i>'
            f"</summary>{where}<pre>{shown}</pre></details>"
        )
    return "\n".join(parts) + "\n"


def marked(row: str) -> str:
    tag = {"+": "ins", "-": "del", "@": "b"}.get(row[:1])
    return f"<{tag}>{escape(row)}</{tag}>" if tag else escape(row)


def files_of(project: Path) -> dict[str, Path]:
    """Each file by its path from the project's root."""
    files = (path for path in project.rglob("*") if path.is_file())
    return {path.relative_to(project).as_posix(): path for path in files}


def lines_in(path: Path | None) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path else []


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The three levels</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
  h1, h2, h3 { line-height: 1.2; }
  h2 { border-top: 1px solid; padding-top: 1.5rem; margin-top: 2rem; }
  nav a { margin-right: 1rem; }
  a { color: light-dark(#0b57d0, #9cc2ff); }
  code, pre, ul, summary { font-family: ui-monospace, monospace; font-size: .85rem; }
  code, summary, li { overflow-wrap: anywhere; }
  pre { overflow-x: auto; padding: .75rem; background: light-dark(#f4f4f4, #222); }
  ul { list-style: none; padding-left: 1.25rem; margin: 0; }
  i { font-style: normal; color: light-dark(#595959, #b0b0b0); }
  summary { cursor: pointer; padding: .3rem 0; }
  ins, del { text-decoration: none; }
  ins { color: light-dark(#116329, #7ee787); }
  del { color: light-dark(#a40e26, #ffa198); }
</style>
</head>
<body>
<h1>The three levels</h1>
<p>A project of each level, as the template writes it, and what changes from one to the next. The
lines are those of Python in app/ and main.py; a name leads to the file.</p>
<nav>
  <a href="#level-1">Level 1</a>
  <a href="#level-2">Level 2</a>
  <a href="#level-3">Level 3</a>
</nav>
LEVELS</body>
</html>
"""


if __name__ == "__main__":
    raise SystemExit(main())
