"""Git for the tests, and what a user does between two updates."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """What git says; fails with what it complains of."""
    settings = ("user.name=test", "user.email=test@example.com", "commit.gpgsign=false")
    options = [word for setting in settings for word in ("-c", setting)]
    done = subprocess.run(
        ["git", *options, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit(folder: Path, message: str) -> None:
    """Commit everything in `folder`, which becomes a repository if it is in none."""
    if subprocess.run(["git", "rev-parse"], cwd=folder, capture_output=True).returncode:
        git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all", ".")
    git(folder, "commit", "--quiet", "--message", message)


def contents(project: Path) -> dict[str, bytes]:
    """Every file, but git's own."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(project).parts
    }


def reword(path: Path, old: str, new: str, count: int = -1) -> None:
    """Replace a text that has to be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, count), encoding="utf-8", newline="\n")


def add_tool(agent: Path) -> None:
    """A tool of the user's own, as README.md shows it."""
    tool = """@function_tool
async def add(a: float, b: float) -> float:
    \"\"\"Add two numbers.\"\"\"
    return a + b


agent ="""
    reword(agent, "agent =", tool)
    reword(agent, "[current_time]", "[current_time, add]")


def alone(home: Path, **more: str) -> dict[str, str]:
    """The environment of somebody with an empty home: no settings of git's, none of Copier's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    homes = {name: str(home) for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")}
    return kept | homes | {"GIT_CONFIG_NOSYSTEM": "1"} | more
