"""What `alembic` does: change the database that DATABASE_URL names, in one transaction."""

import asyncio
import logging

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from core.errors import StoreError
from core.settings import configure_logging, give_up, load
from core.stores.postgres_connection import DatabaseSettings, connect

MIGRATION_LOCK = 0x43684B74
"""The advisory lock that lets one migration run at a time (the letters ChKt)."""


async def migrate(settings: DatabaseSettings) -> None:
    url = settings.database_url.get_secret_value()
    engine = create_async_engine(
        "postgresql+asyncpg://",
        # The same reading of the URL as in the store.
        async_creator=lambda: connect(url, timeout=settings.database_timeout),
        poolclass=NullPool,
    )
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)


def upgrade(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        context.run_migrations()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql")
    with context.begin_transaction():
        context.run_migrations()
else:
    # Whoever migrates need not have the settings of the server.
    settings = load(DatabaseSettings)
    configure_logging(settings.log_level)
    logging.getLogger("alembic").setLevel(settings.log_level.upper())
    try:
        asyncio.run(migrate(settings))
    except StoreError as error:
        give_up(f"DATABASE_URL: {error}")
