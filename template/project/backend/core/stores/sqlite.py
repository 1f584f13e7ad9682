"""The store in a SQLite file: everything is there again after a restart."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite
from chatkit.store import NotFoundError
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter

from core.context import RequestContext
from core.errors import StoreError
from core.stores.base import (
    BaseStore,
    RecordT,
    from_json,
    page_of,
    page_size,
    to_json,
)
from core.stores.records import ATTACHMENT, ITEM, THREAD
from core.stores.sqlite_file import MEMORY, DatabaseSettings, open_file, usable

# Whose records a statement is about. An item is the user's because its thread is.
THREADS = "threads WHERE owner = ?"
ATTACHMENTS = "attachments WHERE owner = ?"
OF_THREAD = "thread = (SELECT seq FROM threads WHERE owner = ? AND id = ?)"
ITEMS = f"items WHERE {OF_THREAD}"


def open_store(settings: DatabaseSettings) -> "SQLiteStore":
    """The store: a file that DATABASE_URL names. Ends the program if it cannot be opened."""
    return SQLiteStore(usable(settings.database_url))


class SQLiteStore(BaseStore):
    """Keeps everything in one file, which several processes may share.

    Every change is one statement, so that it is there as a whole or not at all, even if the
    request that makes it is cancelled.
    """

    def __init__(self, path: str | Path) -> None:
        """`path` is the file's, which is created with its folder, or ":memory:"."""
        self._path = str(path)
        self._opening = asyncio.Lock()
        self._connections: tuple[aiosqlite.Connection, aiosqlite.Connection] | None = None

    async def open(self) -> None:
        """Raises StoreError if the file cannot be used, or is not this store's."""
        await self._opened()

    async def close(self) -> None:
        """Finish what is being written, and let go of the file."""
        connections, self._connections = self._connections, None
        for connection in connections or ():
            await connection.close()

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Raises NotFoundError if the user has no such thread."""
        return await self._load(THREAD, THREADS, context.user_id, thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Add the thread, or replace it where it stands."""
        await self._write(
            "INSERT INTO threads (owner, id, data) VALUES (?, ?, ?)"
            " ON CONFLICT (owner, id) DO UPDATE SET data = excluded.data",
            context.user_id,
            thread.id,
            to_json(THREAD, thread),
        )

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """The user's threads behind `after`. Raises NotFoundError if there is no such thread."""
        return await self._page(THREAD, THREADS, (context.user_id,), after, limit, order)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Delete the thread with its items and attachments, if there is such a thread."""
        await self._write(f"DELETE FROM {THREADS} AND id = ?", context.user_id, thread_id)

    async def page_of_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        """The thread's items behind `after`; none if there is no such thread.

        Raises NotFoundError if there is no such item.
        """
        return await self._page(ITEM, ITEMS, (context.user_id, thread_id), after, limit, order)

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        """Add the item, or replace it where it stands. Raises NotFoundError without its thread."""
        written = await self._write(
            "INSERT INTO items (thread, id, data)"
            f" SELECT seq, ?, ? FROM {THREADS} AND id = ?"
            " ON CONFLICT (thread, id) DO UPDATE SET data = excluded.data",
            item.id,
            to_json(ITEM, item),
            context.user_id,
            thread_id,
        )
        if not written:
            raise NotFoundError(f"Thread {thread_id} not found")

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        """Raises NotFoundError if the user's thread has no such item."""
        return await self._load(ITEM, ITEMS, context.user_id, thread_id, item_id)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        """Delete the item, if there is such an item."""
        await self._write(f"DELETE FROM {ITEMS} AND id = ?", context.user_id, thread_id, item_id)

    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        """Raises NotFoundError, and keeps nothing, if the user's thread lacks one of the items."""
        unique = set(item_ids)
        these = f"{OF_THREAD} AND id IN (SELECT value FROM json_each(?))"
        key = context.user_id, thread_id, json.dumps(list(unique))
        written = await self._write(
            f"UPDATE items SET feedback = ? WHERE {these}"
            f" AND (SELECT count(*) FROM items WHERE {these}) = ?",
            kind,
            *key,
            *key,
            len(unique),
        )
        if written < len(unique):
            raise NotFoundError(f"Not all of {len(unique)} items of {thread_id} found")

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """The feedback by item id, oldest item first; empty if there is no such thread."""
        rows = await self._read(
            f"SELECT id, feedback FROM {ITEMS} AND feedback IS NOT NULL ORDER BY seq",
            context.user_id,
            thread_id,
        )
        return {item_id: kind for item_id, kind in rows}

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Add the attachment, or replace it."""
        await self._write(
            "INSERT INTO attachments (owner, id, thread_id, data) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (owner, id)"
            " DO UPDATE SET thread_id = excluded.thread_id, data = excluded.data",
            context.user_id,
            attachment.id,
            attachment.thread_id,
            to_json(ATTACHMENT, attachment),
        )

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Raises NotFoundError if the user has no such attachment."""
        return await self._load(ATTACHMENT, ATTACHMENTS, context.user_id, attachment_id)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete the attachment, if there is such an attachment."""
        await self._write(f"DELETE FROM {ATTACHMENTS} AND id = ?", context.user_id, attachment_id)

    async def _load(self, kind: TypeAdapter[RecordT], source: str, *key: str) -> RecordT:
        rows = await self._read(f"SELECT data FROM {source} AND id = ?", *key)
        if not rows:
            raise NotFoundError(f"{key[-1]} not found")
        return from_json(kind, rows[0][0])

    async def _page(
        self,
        kind: TypeAdapter[RecordT],
        source: str,
        owner: tuple[str, ...],
        after: str | None,
        limit: int,
        order: str,
    ) -> Page[RecordT]:
        behind, direction = (">", "ASC") if order == "asc" else ("<", "DESC")
        where, values = source, list[Any](owner)
        if after is not None:
            found = await self._read(f"SELECT seq FROM {source} AND id = ?", *owner, after)
            if not found:
                raise NotFoundError(f"{after} not found")
            where, values = f"{source} AND seq {behind} ?", [*owner, found[0][0]]
        size = page_size(limit)
        rows = await self._read(
            f"SELECT data FROM {where} ORDER BY seq {direction} LIMIT ?", *values, size + 1
        )
        return page_of([from_json(kind, text) for (text,) in rows], size)

    async def _read(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        _, reader = await self._opened()
        try:
            return list(await reader.execute_fetchall(statement, values))
        except sqlite3.DatabaseError as error:
            raise self._away(error) from error

    async def _write(self, statement: str, *values: Any) -> int:
        """Execute one statement; how many rows it wrote."""
        writer, _ = await self._opened()
        try:
            return (await writer.execute(statement, values)).rowcount
        except sqlite3.DatabaseError as error:
            raise self._away(error) from error

    def _away(self, error: sqlite3.DatabaseError) -> StoreError:
        return StoreError(f"The database {self._path} cannot be used: {error}.", str(error))

    async def _opened(self) -> tuple[aiosqlite.Connection, aiosqlite.Connection]:
        """The connection that writes, and the one that reads without waiting for it."""
        if self._connections is not None:
            return self._connections
        async with self._opening:
            if self._connections is None:
                writer = await self._connect()
                # A database in memory is seen by its own connection alone.
                reader = writer if self._path == MEMORY else await self._connect()
                self._connections = writer, reader
            return self._connections

    async def _connect(self) -> aiosqlite.Connection:
        # Opened here already: a failure inside aiosqlite would leave a thread with a traceback.
        opened = await asyncio.to_thread(open_file, self._path)
        connection = aiosqlite.Connection(lambda: opened, iter_chunk_size=64)
        # Otherwise a process that ends without close() hangs for ever:
        # https://github.com/omnilib/aiosqlite/issues/299
        connection._thread.daemon = True
        return await connection
