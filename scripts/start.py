"""What a user does first, by the README's words: copy, install, test, start, send a message.

CI runs it on every system: `python scripts/dev.py start`. The project is a hello world, in
build/start. Exit code 0 if it answered.
"""

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from scripts.demo import ask, free_port, step, stop, wait_until_ready
from scripts.dev import ROOT, TEMPLATE, copy_template, python_of

BUILD = ROOT / "build" / "start"
PROJECT = BUILD / "myapp"
BACKEND = PROJECT / "backend"


def main() -> int:
    shutil.rmtree(BUILD, ignore_errors=True)
    template = copy_template(BUILD / TEMPLATE.name)
    copy = (sys.executable, "-m", "copier", "copy", "--defaults", "--data", "level=1")
    run(ROOT, *copy, template, PROJECT)
    run(BACKEND, sys.executable, "-m", "venv", ".venv")
    python = python_of(BACKEND / ".venv")
    run(BACKEND, python, "-m", "pip", "install", "--quiet", "-r", "requirements-dev.txt")
    run(BACKEND, python, "-m", "pytest", "-q")
    port = free_port(8000)
    step(f"python main.py, on port {port}")
    settings = {**os.environ, "PORT": str(port), "LOG_LEVEL": "WARNING"}
    server = subprocess.Popen([python, "main.py"], cwd=BACKEND, env=settings)
    try:
        address = f"http://localhost:{port}"
        wait_until_ready(address, server)
        with urllib.request.urlopen(f"{address}/health") as health:
            print(f"/health: {health.read().decode()}")
        return ask(address, "hi")
    finally:
        stop(server)


def run(folder: Path, *command: str | Path) -> None:
    """Run a command, shown as a person would type it. Ends the program where it fails."""
    step(" ".join(part if isinstance(part, str) else part.name for part in command[1:]))
    done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    raise SystemExit(main())
