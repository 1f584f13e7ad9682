"""Each provider's project, pointed at a stand-in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.backend import Backend
from tests.postgres import new_database
from tests.render import render
from tests.standins import StandIn

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
