"""Each provider's project, pointed at a stand-in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.backend import Backend
from tests.postgres import new_database
from tests.render import render
from tests.standins import StandIn
from tests.users import Users, signed_in

REMOTE = ["gemini", "openai", "anthropic", "azure", "local"]
"""The providers that are reached over HTTP; the embedded one has tests of its own."""

KEY = "sk-test-4f1c2a"
"""No client and no log may ever see this."""

BASE_PATH = {"openai": "/v1", "local": "/v1"}


def environment(
    provider: str, standin: StandIn, folder: Path, store: str = "sqlite"
) -> dict[str, str]:
    """The settings under which a project of this provider asks the stand-in."""
    return {
        "MODEL_BASE_URL": standin.url + BASE_PATH.get(provider, ""),
        f"{provider.upper()}_API_KEY": KEY,
        "DATABASE_URL": database_url(store, folder),
    }


def database_url(store: str, folder: Path) -> str:
    """An empty database for a project with this store."""
    return new_database() if store == "postgres" else f"sqlite:///{folder.as_posix()}/chat.db"


@contextmanager
def talking_to(
    standin: StandIn, folder: Path, provider: str = "local", store: str = "sqlite", **env: str
) -> Iterator[Backend]:
    """A level 2 backend of this provider, whose model is the stand-in, ready to answer."""
    project = render(level=2, provider=provider, store=store)
    with Backend(project, environment(provider, standin, folder, store) | env) as backend:
        backend.ready()
        yield backend


@contextmanager
def production(
    standin: StandIn,
    folder: Path,
    provider: str = "local",
    store: str = "sqlite",
    auth: str = "jwt",
    **env: str,
) -> Iterator[tuple[Backend, Users]]:
    """The same at level 3, where ada is signed in. No title takes an answer of the stand-in."""
    project = render(level=3, provider=provider, store=store, auth=auth)
    with signed_in(auth) as users:
        given = environment(provider, standin, folder, store) | users.env
        given |= {"TITLES": "false", "RATE_LIMIT": "off", "DEBUG": "true"} | env
        with Backend(project, given, headers=users.headers("ada")) as backend:
            backend.ready()
            yield backend, users
