"""The PostgreSQL database: its settings, how it is reached, and what its failures mean."""

import asyncio
import os
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pydantic import AfterValidator, Field, SecretStr

from core.errors import StoreError
from core.settings import ServerSettings

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection, Pool = asyncpg.Connection, asyncpg.Pool


def database_url(secret: SecretStr) -> SecretStr:
    """The DATABASE_URL, if it names a host and a database. Raises ValueError otherwise."""
    url = secret.get_secret_value()
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in ("postgresql", "postgres") or not url.isprintable():
        raise ValueError
    # A password with such a sign in it is split there, and a part of it taken for something else.
    if parts.fragment or "@" in user + parts.path + parts.query or not parts.path.strip("/"):
        raise ValueError
    if not (hosts or parse_qs(parts.query).get("host")):
        raise ValueError
    if any(urlsplit(f"//{host}").port == 0 for host in hosts.split(",")):
        raise ValueError
    return secret


DatabaseUrl = Annotated[SecretStr, AfterValidator(database_url)]


class DatabaseSettings(ServerSettings):
    """Which database, and how much of it each server process takes."""

    database_url: DatabaseUrl = Field(
        description="postgresql://user:password@host:port/name (@ : / ? # % in the password as %XX)"
    )
    database_pool_size: int = Field(
        default=10, ge=1, le=1000, description="a number of connections from 1 to 1000"
    )
    database_timeout: float = Field(
        default=10, ge=1, le=3600, description="a number of seconds from 1 to 3600"
    )


OTHER_SCHEMA = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
"""What asyncpg raises when a table is not, or no longer, as the program knows it."""
LOST = (
    ConnectionError,
    asyncpg.InterfaceError,
    # So asyncpg takes the last words of a server that ends a session just when it is asked:
    # https://github.com/sqlalchemy/sqlalchemy/issues/13241
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What it raises when a session has ended, as all do when PostgreSQL is restarted."""
AWAY = (
    *LOST,
    OSError,
    asyncio.TimeoutError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.TransactionRollbackError,
    # A standby: the one is raised by what it is asked, the other by target_session_attrs.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
    *OTHER_SCHEMA,
)
"""What it raises when a database that was there cannot be asked."""
UNUSABLE = (*AWAY, asyncpg.PostgresError, ValueError, OverflowError)
"""What it raises when a database cannot be opened, the last two for a URL that cannot be."""

WORD_ENDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


async def connect(url: str, **options: Any) -> Connection:
    """A connection of its own. Raises StoreError."""
    try:
        return await asyncpg.connect(url, **options)
    except UNUSABLE as error:
        raise away(url, error) from None


def away(url: str, error: BaseException) -> StoreError:
    """The error as a StoreError.

    Its sentence has no password, but may have the user; its cause has neither.
    """
    name = type(error).__name__
    said = str(error).partition("\n")[0] or name
    if isinstance(error, ConnectionError | FileNotFoundError) and error.errno:
        said = cause = os.strerror(error.errno)
    elif isinstance(error, asyncio.TimeoutError):
        said = cause = "it does not answer"
    elif isinstance(error, asyncpg.PostgresError | asyncpg.TargetServerAttributeNotMatched):
        # InvalidCatalogNameError: invalid catalog name. The server's own words may name the user.
        cause = WORD_ENDS.sub(" ", name.removesuffix("Error"))
    elif isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        cause = "it cannot be reached"
    else:
        # What Python says of a bad URL may quote a part of the password.
        said = cause = "the URL has a host, a port or an option that cannot be"
    return StoreError(f"The database {address_of(url)} cannot be used: {said}.", cause.lower())


def address_of(url: str) -> str:
    """Where the database is: its host, port and name."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or parse_qs(parts.query)["host"][0]
    return host + parts.path
