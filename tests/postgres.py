"""PostgreSQL for the tests: the server of DATABASE_URL, or one out of the template's package."""

import asyncio
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.render import render, the_template


@cache
def server() -> str:
    """The URL of a server on which databases may be made. Skips the test where there is none."""
    if url := os.environ.get("DATABASE_URL"):
        return url
    with the_template():
        from core.stores.local_postgres import LocalPostgres, LocalPostgresError
    # Not pytest's folder, which is closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="chatkit-"))
    started = LocalPostgres(folder)
    try:
        started.start()
    except LocalPostgresError as error:
        shutil.rmtree(folder)
        pytest.skip(f"This test needs PostgreSQL. {error}")
    atexit.register(started.stop)
    return started.url


@cache
def template() -> str:
    """The name of a database with the newest schema, which others are copied from."""
    url = create("template0")
    upgrade(url)
    return urlsplit(url).path.strip("/")


def new_database() -> str:
    """The DATABASE_URL of an empty database with the newest schema."""
    return create(template())


def create(source: str) -> str:
    """The URL of a new database, a copy of this one; it goes with the server."""
    name = f"chatkit_test_{uuid.uuid4().hex}"
    execute(server(), f"CREATE DATABASE {name} TEMPLATE {source} ENCODING 'UTF8'")
    return urlsplit(server())._replace(path=f"/{name}").geturl()


def upgrade(url: str) -> None:
    """Bring the database to the newest schema, as a user does."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=render(level=1, store="postgres") / "backend",
        env=os.environ | {"DATABASE_URL": url},
        check=True,
        capture_output=True,
    )


def execute(url: str, statement: str) -> None:
    """Execute one statement in a connection of its own."""

    async def once() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(once())
