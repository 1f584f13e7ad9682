"""What every test may ask for, in tests/ and beside what it tests in app/.

Fixtures of your own go into tests/app/conftest.py.
"""

from collections.abc import Iterator

import pytest
from chat_client import Chat, serving

from core.turns.server import TurnServer

from app.wiring import AUTH, STORE, Settings, build_app

pytest_plugins = [f"database_{STORE}", f"auth_{AUTH}"]


@pytest.fixture
def settings(
    database: dict[str, str], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The defaults, whatever .env and the environment say, and a database that is thrown away."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in {**database, **auth}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DEBUG", "true")
    return Settings(_env_file=None)


@pytest.fixture
def chat(settings: Settings, server: TurnServer) -> Iterator[Chat]:
    """A client of the backend. Whoever uses it says with a fixture `server` who answers."""
    with serving(build_app(settings, server)) as http:
        yield Chat(http)
