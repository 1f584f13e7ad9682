"""The SQLite file: where it is, whose it is, and the tables in it."""

import sqlite3
import time
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from core.errors import StoreError
from core.settings import ROOT, ServerSettings, give_up

MEMORY = ":memory:"
BUSY_SECONDS = 30.0
"""How long a write waits for another process that writes to the same file."""

APPLICATION_ID = 0x43684B74
"""Marks a file as this store's (the letters ChKt)."""
SCHEMA_VERSION = 1
# `seq` gives the order: created_at repeats, and clocks are set back. Two processes may make the
# tables of a new file at once.
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS threads (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (owner, id)
);
CREATE INDEX IF NOT EXISTS threads_in_order ON threads (owner, seq);
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    thread INTEGER NOT NULL REFERENCES threads (seq) ON DELETE CASCADE,
    id TEXT NOT NULL,
    data TEXT NOT NULL,
    feedback TEXT,
    UNIQUE (thread, id)
);
CREATE INDEX IF NOT EXISTS items_in_order ON items (thread, seq);
CREATE TABLE IF NOT EXISTS attachments (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT,
    data TEXT NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX IF NOT EXISTS attachments_of_thread ON attachments (owner, thread_id);
CREATE TRIGGER IF NOT EXISTS thread_deleted AFTER DELETE ON threads BEGIN
    DELETE FROM attachments WHERE owner = OLD.owner AND thread_id = OLD.id;
END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def database_path(url: str) -> str:
    """The path in a DATABASE_URL, which begins at the project's folder unless it is absolute."""
    scheme, slashes, path = url.partition(":///")
    if scheme != "sqlite" or not slashes or not path or path.endswith("/"):
        raise ValueError
    return path if path == MEMORY else str(ROOT / path)


DatabaseUrl = Annotated[str, AfterValidator(database_path)]


class DatabaseSettings(ServerSettings):
    """Where the file is."""

    database_url: DatabaseUrl = Field(
        default="sqlite:///chat.db",
        description="sqlite:/// and the path of a file, such as sqlite:///chat.db",
    )


def usable(path: str) -> str:
    """The path, if its file can be opened; if not, the program ends with a sentence."""
    try:
        if path != MEMORY:
            open_file(path).close()
    except StoreError as error:
        give_up(f"DATABASE_URL: {error} Set it in .env or the environment.")
    return path


def open_file(path: str) -> sqlite3.Connection:
    """A connection to the file, which is created if need be. Raises StoreError."""
    try:
        if path != MEMORY:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"The database {path} cannot be opened: {error}.", "cannot be opened"
        ) from None


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Look whose file it is before anything in it is changed, then make the tables."""
    application_id, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application_id == version == tables == 0:
        connection.executescript(SCHEMA)
    elif application_id != APPLICATION_ID:
        raise StoreError(f"The database {path} belongs to another program.", "not this program's")
    elif version > SCHEMA_VERSION:
        raise StoreError(
            f"The database {path} was written by a newer version of this program.", "too new"
        )
    # A file that can only be read is refused here, not at the first message. BEGIN alone reads.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("ROLLBACK")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # Here alone SQLite does not wait for another process, which may be at the same new file.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
