"""The agent's model: made once, in the background, so that the server answers while it loads."""

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass

from agents import Model, ModelSettings

log = logging.getLogger("app")


TIMEOUT_MARGIN = 10.0
"""Seconds that a client waits beyond MODEL_TIMEOUT, which watched_run.py watches."""


class ModelUnavailable(Exception):
    """The model cannot be used; the text is a sentence for the person at the chat."""


@dataclass(eq=False, repr=False)
class ModelSource(ABC):
    """Where the agent's model comes from. Each provider has a subclass of its own."""

    settings = ModelSettings()
    """How the agent asks this model."""

    name: str
    """MODEL, as it is set."""
    _: KW_ONLY
    timeout: float = 60
    """How long the model may be silent, in seconds."""
    base_url: str | None = None
    api_key: str | None = None
    key_name: str | None = None
    """The setting of the key, for when that is refused."""
    missing: str | None = None
    """A setting without which the model cannot be asked."""

    def __post_init__(self) -> None:
        self._loading: asyncio.Task[Model] | None = None

    def start(self) -> None:
        """Begin to load the model. Needs a running event loop; does nothing the second time."""
        if self._loading is None and self.missing is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self.load))
            self._loading.add_done_callback(_report)

    async def get(self) -> Model:
        """The model, as soon as it is loaded. Raises ModelUnavailable with a sentence."""
        if hint := self.hint():
            raise ModelUnavailable(hint)
        self.start()
        assert self._loading is not None
        try:
            # Shielded: a client that leaves while the model loads must not stop the loading.
            return await asyncio.shield(self._loading)
        except ModelUnavailable:
            raise
        except Exception:
            raise ModelUnavailable(
                "The model could not be loaded. The server's log has the cause."
            ) from None

    def hint(self) -> str | None:
        """The sentence about the setting that is missing, or None."""
        if self.missing is None:
            return None
        return (
            f"No model can answer yet: {self.missing} is not set. "
            f"Put {self.missing}=… into the file .env at the project's root and restart."
        )

    def not_ready(self) -> str | None:
        """What keeps the model from answering, or None."""
        if self.missing is not None:
            return f"model: {self.missing} is not set"
        if self._loading is None or not self._loading.done():
            return "model: still loading"
        if self._loading.exception() is not None:
            return "model: could not be loaded"
        return None

    @abstractmethod
    def load(self) -> Model:
        """Make the model. Runs in a thread, and may take seconds."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what `load` has taken."""


def _report(loading: "asyncio.Task[Model]") -> None:
    if not loading.cancelled() and (error := loading.exception()):
        expected = isinstance(error, ModelUnavailable)
        log.error("the model could not be loaded: %s", error, exc_info=None if expected else error)
