"""Moves the conversations of a SQLite file into PostgreSQL.

`python -m core.stores.move_from_sqlite ../chat.db` does it. A thread is moved whole or not at all,
and one that is there already is left as it is: after a stop, run it again. What PostgreSQL then
holds is read back, counted, and compared by checksums.
"""

import argparse
import asyncio
import hashlib
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
from tqdm import tqdm  # type: ignore[import-untyped]

from core.context import LOCAL_USER
from core.errors import StoreError
from core.settings import give_up, load
from core.stores.postgres import PostgresStore, storable, usable
from core.stores.postgres_connection import AWAY, Connection, DatabaseSettings, away, connect

APPLICATION_ID, SCHEMA_VERSION = 0x43684B74, 1
"""How the SQLite store marks its files."""
BATCH = 500
"""How many items are written at once, or read: DATABASE_TIMEOUT is for so many."""

# What is moved as a whole: a thread with its items and attachments, or an attachment of no thread.
PARTS = """
SELECT seq, owner, id AS thread, NULL AS file, owned(owner) AS new_owner FROM threads
UNION ALL
SELECT NULL, owner, NULL, id, owned(owner) FROM attachments AS loose
WHERE NOT EXISTS (SELECT 1 FROM threads WHERE owner = loose.owner AND id = loose.thread_id)
ORDER BY seq
"""
# A part's records in the file, as PostgreSQL can hold them, and in PostgreSQL.
IN_FILE = {
    "threads": "SELECT owned(owner), storable(id), data FROM threads WHERE seq = :seq",
    "items": "SELECT storable(id), data, feedback FROM items WHERE thread = :seq ORDER BY seq",
    "attachments": "SELECT storable(id), storable(thread_id), data FROM attachments"
    " WHERE owner = :owner AND (thread_id = :thread OR id = :file) ORDER BY 1",
}
IN_POSTGRES = {
    "threads": "SELECT owner, id, data FROM threads WHERE owner = $1 AND id = $2",
    "items": "SELECT id, data, feedback FROM items"
    " WHERE thread = (SELECT seq FROM threads WHERE owner = $1 AND id = $2) ORDER BY seq",
    "attachments": "SELECT id, thread_id, data FROM attachments"
    " WHERE owner = $1 AND (thread_id = $2 OR id = $3) ORDER BY id",
}


class Tally:
    """Counts records by their table, with one checksum of them all in their order."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.sha256 = hashlib.sha256()

    def add(self, table: str, record: Iterable[str | None]) -> None:
        self.counted[table] += 1
        self.sha256.update(json.dumps([table, *record]).encode())


def opened(path: Path, user: str | None) -> sqlite3.Connection:
    """The file as it is now, whoever goes on writing to it; the program ends if it is none of ours.

    `user` gets the threads of a project without a sign-in.
    """
    if not path.is_file():
        give_up(f'There is no file "{path}".')
    uri = f"{path.resolve().as_uri()}?mode=ro"
    source = sqlite3.connect(uri, uri=True, isolation_level=None)
    source.row_factory = sqlite3.Row
    source.execute("BEGIN")
    application_id, version = source.execute(
        "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application_id != APPLICATION_ID:
        give_up(f'"{path}" belongs to another program.')
    if version != SCHEMA_VERSION:
        give_up(f'"{path}" is of version {version}; this program moves version {SCHEMA_VERSION}.')
    local = source.execute("SELECT 1 FROM threads WHERE owner = ?", [LOCAL_USER]).fetchone()
    # Only a project with a sign-in has that module.
    if local and user in (None, LOCAL_USER) and find_spec("core.auth.users"):
        give_up(
            f'"{path}" has threads of {LOCAL_USER}, who cannot sign in. '
            "Say with --user who else gets them."
        )
    source.create_function("storable", 1, storable)
    source.create_function(
        "owned", 1, lambda owner: storable(user if user and owner == LOCAL_USER else owner)
    )
    return source


async def move(source: sqlite3.Connection, target: Connection) -> bool:
    """Move every part, and tell what PostgreSQL then holds. Whether that is all of the file."""
    count = "SELECT count(*) FROM"
    total = Counter({name: source.execute(f"{count} {name}").fetchone()[0] for name in IN_FILE})
    moved = Counter[str]()
    with tqdm(total=total["items"], unit=" items", disable=None) as bar:
        for row in source.execute(PARTS):
            part = dict(row)
            given = Tally()
            for table, statement in IN_FILE.items():
                for record in source.execute(statement, part):
                    given.add(table, record)
            transaction = target.transaction()
            await transaction.start()
            await write(source, target, part)
            held = await read_back(target, part)
            if held.sha256.digest() == given.sha256.digest():
                await transaction.commit()
                moved += held.counted
            else:
                await transaction.rollback()
                known = f"{part['thread'] or part['file']} of {part['new_owner']}"
                tqdm.write(f"{known} differs in PostgreSQL, and was left as it is.", sys.stderr)
            bar.update(given.counted["items"])
    for what, counted in (("In the file", total), ("In PostgreSQL, with equal checksums", moved)):
        print(f"{what}: " + ", ".join(f"{counted[table]:,} {table}" for table in IN_FILE))
    return moved == total


async def write(source: sqlite3.Connection, target: Connection, part: dict[str, Any]) -> None:
    """Add the part, unless its thread is there."""
    owner = part["new_owner"]
    threads, items, attachments = (source.execute(each, part) for each in IN_FILE.values())
    for thread in threads:
        seq = await target.fetchval(
            "INSERT INTO threads (owner, id, data) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING RETURNING seq",
            *thread,
        )
        if seq is None:
            return
        columns = ("owner", "thread", "id", "data", "feedback")
        records = ((owner, seq, *item) for item in items)
        while f"COPY {BATCH}" == await target.copy_records_to_table(
            "items", columns=columns, records=islice(records, BATCH)
        ):
            pass
    await target.executemany(
        "INSERT INTO attachments (owner, id, thread_id, data) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING",
        ((owner, *attachment) for attachment in attachments),
    )


async def read_back(target: Connection, part: dict[str, Any]) -> Tally:
    """The part as PostgreSQL holds it."""
    key = part["new_owner"], storable(part["thread"]), storable(part["file"])
    held = Tally()
    for table, statement in IN_POSTGRES.items():
        # Neither more values nor less than it asks for.
        values = key[: statement.count("$")]
        async for record in target.cursor(statement, *values, prefetch=BATCH):
            held.add(table, record)
    return held


async def connected(source: sqlite3.Connection, url: str, timeout: float) -> bool:
    """Move every part into the database of this URL. Raises StoreError if it goes away."""
    target = await connect(url, timeout=timeout, command_timeout=timeout)
    try:
        return await move(source, target)
    except (*AWAY, asyncpg.PostgresError) as error:
        raise away(url, error) from None
    finally:
        # With it ends the transaction that was not committed.
        target.terminate()


def main() -> int:
    """0 if PostgreSQL has it all, 1 if it has something else, 2 if it could not be moved."""
    parser = argparse.ArgumentParser(prog="python -m core.stores.move_from_sqlite")
    parser.add_argument("file", type=Path, help="the SQLite file, such as ../chat.db")
    parser.add_argument("--user", help="who gets the threads of a project without a sign-in")
    asked = parser.parse_args()
    user: str | None = asked.user
    # As the sign-in has it; a project without one has no core.auth.sign_in to ask.
    if user is not None and (not 0 < len(user) <= 255 or not user.isprintable() or user.isspace()):
        parser.error("a user's id has 1 to 255 visible characters")
    if user not in (None, LOCAL_USER) and not find_spec("core.auth.users"):
        give_up("--user is for a project with a sign-in: here nobody could read those threads.")
    settings = load(DatabaseSettings)
    url, timeout = settings.database_url.get_secret_value(), settings.database_timeout
    try:
        usable(PostgresStore(url, timeout=timeout))
        with closing(opened(asked.file, user)) as source:
            return 0 if asyncio.run(connected(source, url, timeout)) else 1
    except KeyboardInterrupt:
        print("Stopped. Run it again, and it goes on.", file=sys.stderr)
        return 130
    except sqlite3.Error as error:
        print(f'Stopped: "{asked.file}" cannot be read: {error}.', file=sys.stderr)
    except StoreError as error:
        print(f"Stopped: {error} Run it again, and it goes on.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
