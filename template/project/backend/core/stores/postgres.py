"""The store in PostgreSQL: one database for every worker and machine."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import asyncpg
from chatkit.store import NotFoundError
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter

from core.context import RequestContext
from core.errors import StoreError
from core.settings import give_up
from core.stores.base import (
    BaseStore,
    RecordT,
    from_json,
    page_of,
    page_size,
    to_json,
)
from core.stores.postgres_connection import (
    AWAY,
    LOST,
    OTHER_SCHEMA,
    UNUSABLE,
    DatabaseSettings,
    Pool,
    address_of,
    away,
)
from core.stores.postgres_schema import wrong_schema
from core.stores.records import ATTACHMENT, ITEM, THREAD

# Whose records a statement is about. An item is the user's because its thread is.
THREADS = "threads WHERE owner = $1"
ATTACHMENTS = "attachments WHERE owner = $1"
OF_THREAD = "thread = (SELECT seq FROM threads WHERE owner = $1 AND id = $2)"
ITEMS = f"items WHERE {OF_THREAD}"


def open_store(settings: DatabaseSettings) -> "PostgresStore":
    """The store: the database that DATABASE_URL names. Ends the program if it cannot be used."""
    return usable(
        PostgresStore(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            timeout=settings.database_timeout,
        )
    )


class PostgresStore(BaseStore):
    """Keeps everything in a PostgreSQL database, which any number of processes may share.

    Every change is one statement, so that it is there as a whole or not at all, even if the
    request that makes it is cancelled.
    """

    def __init__(self, url: str, *, pool_size: int = 10, timeout: float = 10) -> None:
        """`timeout`, in seconds, is for a connection and for a statement, each."""
        self._url = url
        self._pool_size = pool_size
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Raises StoreError if the database cannot be reached, or has another schema."""
        await self._opened()

    async def close(self) -> None:
        """Finish what is being asked, and let go of the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            # A server that is silent must not keep the rest of the program from its end.
            with suppress(*AWAY):
                await pool.close()

    async def check(self) -> None:
        """Raise StoreError if the database cannot be read, or not be written to."""
        await super().check()
        [(read_only,)] = await self._ask("SHOW transaction_read_only", ())
        if read_only == "on":
            raise StoreError(f"The database {address_of(self._url)} can only be read.", "read only")

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Raises NotFoundError if the user has no such thread."""
        return await self._load(THREAD, THREADS, context.user_id, thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Add the thread, or replace it where it stands."""
        await self._ask(
            "INSERT INTO threads (owner, id, data) VALUES ($1, $2, $3)"
            " ON CONFLICT (owner, id) DO UPDATE SET data = excluded.data",
            (context.user_id, thread.id),
            to_json(THREAD, thread),
        )

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """The user's threads behind `after`. Raises NotFoundError if there is no such thread."""
        return await self._page(THREAD, THREADS, (context.user_id,), after, limit, order)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Delete the thread with its items and attachments, if there is such a thread."""
        await self._ask(
            f"WITH deleted AS (DELETE FROM {THREADS} AND id = $2 RETURNING owner, id)"
            " DELETE FROM attachments USING deleted"
            " WHERE attachments.owner = deleted.owner AND attachments.thread_id = deleted.id",
            (context.user_id, thread_id),
        )

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
        # The lock waits for a deletion of the thread that is under way, and then finds no thread.
        written = await self._ask(
            "INSERT INTO items (owner, thread, id, data)"
            f" SELECT owner, seq, $3, $4 FROM {THREADS} AND id = $2 FOR KEY SHARE"
            " ON CONFLICT (thread, id) DO UPDATE SET data = excluded.data"
            " RETURNING true",
            (context.user_id, thread_id, item.id),
            to_json(ITEM, item),
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
        await self._ask(f"DELETE FROM {ITEMS} AND id = $3", (context.user_id, thread_id, item_id))

    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        """Raises NotFoundError, and keeps nothing, if the user's thread lacks one of the items."""
        unique = {storable(item_id) for item_id in item_ids}
        these = f"{OF_THREAD} AND id = ANY ($3)"
        written = await self._ask(
            f"UPDATE items SET feedback = $4 WHERE {these}"
            f" AND (SELECT count(*) FROM items WHERE {these}) = $5"
            " RETURNING true",
            (context.user_id, thread_id),
            list(unique),
            kind,
            len(unique),
        )
        if len(written) < len(unique):
            raise NotFoundError(f"Not all of {len(unique)} items of {thread_id} found")

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """The feedback by item id, oldest item first; empty if there is no such thread."""
        rows = await self._ask(
            f"SELECT data, feedback FROM {ITEMS} AND feedback IS NOT NULL ORDER BY seq",
            (context.user_id, thread_id),
        )
        return {from_json(ITEM, row["data"]).id: row["feedback"] for row in rows}

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Add the attachment, or replace it."""
        await self._ask(
            "INSERT INTO attachments (owner, id, thread_id, data) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (owner, id)"
            " DO UPDATE SET thread_id = excluded.thread_id, data = excluded.data",
            (context.user_id, attachment.id, attachment.thread_id),
            to_json(ATTACHMENT, attachment),
        )

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Raises NotFoundError if the user has no such attachment."""
        return await self._load(ATTACHMENT, ATTACHMENTS, context.user_id, attachment_id)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete the attachment, if there is such an attachment."""
        await self._ask(f"DELETE FROM {ATTACHMENTS} AND id = $2", (context.user_id, attachment_id))

    async def _load(self, kind: TypeAdapter[RecordT], source: str, *ids: str) -> RecordT:
        rows = await self._ask(f"SELECT data FROM {source} AND id = ${len(ids)}", ids)
        if not rows:
            raise NotFoundError(f"{ids[-1]} not found")
        return from_json(kind, rows[0]["data"])

    async def _page(
        self,
        kind: TypeAdapter[RecordT],
        source: str,
        ids: tuple[str, ...],
        after: str | None,
        limit: int,
        order: str,
    ) -> Page[RecordT]:
        onward, direction = (">=", "ASC") if order == "asc" else ("<=", "DESC")
        size = page_size(limit)
        if after is None:
            rows = await self._ask(
                f"SELECT data FROM {source} ORDER BY seq {direction} LIMIT ${len(ids) + 1}",
                ids,
                size + 1,
            )
        else:
            # The cursor's own record comes first, and so tells that there is one.
            cursor = f"SELECT seq FROM {source} AND id = ${len(ids) + 1}"
            rows = await self._ask(
                f"SELECT data FROM {source} AND seq {onward} ({cursor})"
                f" ORDER BY seq {direction} LIMIT ${len(ids) + 2}",
                (*ids, after),
                size + 2,
            )
            if not rows:
                raise NotFoundError(f"{after} not found")
            del rows[0]
        return page_of([from_json(kind, row["data"]) for row in rows], size)

    async def _ask(
        self, statement: str, ids: Iterable[str | None], *values: object
    ) -> list[asyncpg.Record]:
        """Execute one statement, in one round trip. The rows that it returns."""
        pool = await self._opened()
        values = (*map(storable, ids), *values)
        try:
            try:
                return await self._fetch(pool, statement, values)
            except LOST:
                # Where one session was ended, as by a restart, the others were too. Nobody knows
                # whether the statement was executed; each does no harm a second time.
                await pool.expire_connections()
                return await self._fetch(pool, statement, values)
        except AWAY as error:
            raise away(self._url, error) from error

    async def _fetch(
        self, pool: Pool, statement: str, values: Sequence[object]
    ) -> list[asyncpg.Record]:
        async with pool.acquire(timeout=self._timeout) as connection:
            try:
                return await connection.fetch(statement, *values)
            except OTHER_SCHEMA:
                await _check(connection, self._url)
                raise

    async def _opened(self) -> Pool:
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                self._pool = await self._open_pool()
            return self._pool

    async def _open_pool(self) -> Pool:
        pool: Pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._pool_size,
            timeout=self._timeout,
            # Not PostgreSQL's statement_timeout: PgBouncer refuses it, and it needs an answer.
            command_timeout=self._timeout,
            reset=_nothing_to_undo,
        )
        try:
            async with pool.acquire(timeout=self._timeout) as connection:
                await _check(connection, self._url)
        except BaseException as error:
            pool.terminate()
            if isinstance(error, UNUSABLE):
                raise away(self._url, error) from None
            raise
        return pool


def usable(store: PostgresStore) -> PostgresStore:
    """The store, if its database can be used; if not, the program ends with a sentence."""

    async def try_it() -> None:
        await store.open()
        await store.close()

    try:
        # In a thread: uvicorn's workers import this program inside their event loop.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(asyncio.run, try_it()).result()
    except StoreError as error:
        give_up(f"DATABASE_URL: {error}")
    return store


async def _nothing_to_undo(connection: object) -> None:
    """In place of asyncpg's own reset, which would cost a round trip after each statement.

    What runs in the pool is one statement that commits by itself and leaves nothing in the session.
    """


def storable(text: str | None) -> str | None:
    r"""An id as PostgreSQL can hold it: NUL as \0, half a surrogate pair as \ud800, \ as \\."""
    if text is None:
        return None
    escaped = text.replace("\\", "\\\\").replace("\0", "\\0")
    return escaped.encode("utf-8", "backslashreplace").decode()


async def _check(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", url: str) -> None:
    """Raise StoreError unless any text fits into the database, and its schema is this program's."""
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"The database {address_of(url)} has the encoding {encoding}: it must be UTF8.",
            "not in UTF8",
        )
    try:
        rows = await connection.fetch("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        rows = []
    if wrong := wrong_schema([row["version_num"] for row in rows]):
        raise StoreError(f"The database {address_of(url)} {wrong}", "not at the newest revision")
