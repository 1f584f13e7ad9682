"""A database of its own for each test: these change its schema, or are ended in the middle."""

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from database_postgres import execute


@pytest.fixture
def postgres_url(postgres_server: str, postgres_database: str) -> Iterator[str]:
    name, migrated = f"chatkit_test_{uuid.uuid4().hex}", urlsplit(postgres_database).path.strip("/")
    execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {migrated} ENCODING 'UTF8'")
    yield urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
    execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")
