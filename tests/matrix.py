"""Every combination of answers that the questions allow."""

from collections.abc import Iterator
from dataclasses import dataclass

LEVELS = (1, 2)
PROVIDERS = ("gemini", "openai", "anthropic", "azure", "local", "embedded")
STORES = ("memory", "sqlite", "postgres")


@dataclass(frozen=True)
class Combination:
    """The answers of one project; level 1 has no provider."""

    level: int
    store: str
    provider: str | None = None

    @property
    def answers(self) -> dict[str, str | int]:
        """As `run_copy` takes them."""
        answers: dict[str, str | int] = {"level": self.level, "store": self.store}
        if self.provider is not None:
            answers["provider"] = self.provider
        return answers

    def __str__(self) -> str:
        return "-".join([f"level{self.level}", *filter(None, [self.provider]), self.store])


def combinations() -> Iterator[Combination]:
    """All of them, the smallest first."""
    for store in STORES:
        yield Combination(1, store)
    for provider in PROVIDERS:
        for store in STORES:
            yield Combination(2, store, provider)


COMBINATIONS = tuple(combinations())
