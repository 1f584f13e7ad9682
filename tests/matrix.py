"""Every combination of answers that the questions allow."""

from collections.abc import Iterator
from dataclasses import dataclass

LEVELS = (1, 2, 3)
PROVIDERS = ("gemini", "openai", "anthropic", "azure", "local", "embedded")
STORES = ("memory", "sqlite", "postgres")
SIGN_INS = ("jwt", "session")


@dataclass(frozen=True)
class Combination:
    """The answers of one project; level 1 has no provider, and only level 3 a sign-in."""

    level: int
    store: str
    provider: str | None = None
    auth: str | None = None

    @property
    def answers(self) -> dict[str, str | int]:
        """As `run_copy` takes them."""
        answers: dict[str, str | int] = {"level": self.level, "store": self.store}
        if self.provider is not None:
            answers["provider"] = self.provider
        if self.auth is not None:
            answers["auth"] = self.auth
        return answers

    def __str__(self) -> str:
        return "-".join(
            [
                f"level{self.level}",
                *filter(None, [self.provider]),
                self.store,
                *filter(None, [self.auth]),
            ]
        )


def combinations() -> Iterator[Combination]:
    """All of them, the smallest first."""
    for store in STORES:
        yield Combination(1, store)
    for provider in PROVIDERS:
        for store in STORES:
            yield Combination(2, store, provider)
    for provider in PROVIDERS:
        for store in STORES:
            for auth in SIGN_INS:
                yield Combination(3, store, provider, auth)


COMBINATIONS = tuple(combinations())
