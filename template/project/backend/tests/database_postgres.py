"""The tests' PostgreSQL: the server of DATABASE_URL, or one that is started for them.

Every test finds an empty database, and what it held is thrown away. On the server of DATABASE_URL
only databases named chatkit_test_… are made and dropped.
"""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from core.stores.local_postgres import LocalPostgres, LocalPostgresError

BACKEND = Path(__file__).resolve().parents[1]

# Ends what still uses the database, and empties its tables: ten times as quick as a new one.
EMPTY = """
DO $$ BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid();
    EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(format('%I', tablename), ', ') || ' RESTART IDENTITY'
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    );
END $$
"""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server on which databases may be made."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    # Not pytest's folder, which is closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="chatkit-"))
    server = LocalPostgres(folder)
    try:
        server.start()
    except LocalPostgresError as error:
        shutil.rmtree(folder)
        pytest.skip(f"The tests need PostgreSQL. {error}")
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URL of a database with the newest schema."""
    with new_database(postgres_server) as url:
        upgrade(url)
        yield url


@pytest.fixture
def database(postgres_url: str) -> dict[str, str]:
    """The settings that name it."""
    return {"DATABASE_URL": postgres_url}


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """The DATABASE_URL of an empty database, with the newest schema, for one test."""
    yield postgres_database
    execute(postgres_database, EMPTY)


def upgrade(url: str) -> None:
    """Bring the database to the newest schema."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", url)
        command.upgrade(Config(BACKEND / "alembic.ini"), "heads")


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URL of a new database on the server, which is dropped in the end."""
    name = f"chatkit_test_{uuid.uuid4().hex}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> list[Any]:
    """Execute one statement in a connection of its own. The rows that it returns."""

    async def once() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    return asyncio.run(once())
