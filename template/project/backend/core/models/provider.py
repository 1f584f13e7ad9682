"""The models of a project: MODEL for whoever names none, and those that agents name."""

from collections.abc import Callable, Iterable

from agents import Model, ModelProvider

from core.models.source import ModelSource, UnknownModel
from core.sentences import Sentence

THROUGH_LITELLM = ("anthropic", "azure", "gemini", "litellm", "openai")
"""What may stand before the / of a model that is not the project's provider's."""


def full_name(name: str, provider: str) -> str:
    """The model's name with its provider: a plain name is one of the project's provider.

    The models of a local server may have a / in their names. Raises UnknownModel.
    """
    first, slash, _ = name.partition("/")
    if slash and first in (provider, *THROUGH_LITELLM):
        return name
    if not slash or provider == "local":
        return f"{provider}/{name}"
    raise UnknownModel(
        Sentence(
            "The model {name} is not known: it is neither {provider}'s, nor does its name begin "
            "with {beginnings}. litellm/{name} asks LiteLLM for it.",
            name=name,
            provider=provider,
            beginnings=", ".join(f"{each}/" for each in THROUGH_LITELLM),
        )
    )


class Models(ModelProvider):
    """Finds the model that an agent names, at the provider that it belongs to.

    Each is made once, and loaded when it is first asked.
    """

    def __init__(self, default: str, provider: str, make: Callable[[str], ModelSource]) -> None:
        """`default` is MODEL, `make` gives the source of a model by its full name."""
        self._provider = provider
        self._make = make
        self._sources: dict[str, ModelSource] = {}
        self.default = self.source(default)
        self._needed = [self.default]

    def source(self, name: str) -> ModelSource:
        """Where the model of this name comes from. Raises UnknownModel with a sentence."""
        full = full_name(name, self._provider)
        if full not in self._sources:
            self._sources[full] = self._make(full)
        return self._sources[full]

    def get_model(self, model_name: str | None) -> Model:
        """The model of this name, or MODEL. Raises UnknownModel with a sentence."""
        return self.default.model if model_name is None else self.source(model_name).named_model

    def start(self, names: Iterable[str | None] = (None,)) -> None:
        """Begin to load the models of these names, without which no agent can answer.

        None is MODEL. Needs a running event loop; does nothing the second time.
        """
        sources = [self.default if name is None else self.source(name) for name in names]
        self._needed = list(dict.fromkeys(sources))
        for source in self._needed:
            source.start()

    async def loaded(self, named: str | Model | None, default: ModelSource) -> None:
        """Wait for the model that an agent names, or for the default one if it names none.

        Raises ModelUnavailable with a sentence.
        """
        if not isinstance(named, Model):
            await (default if named is None else self.source(named)).get()

    def close(self) -> None:
        """Give back what the models have taken."""
        for source in self._sources.values():
            source.close()

    def hint(self) -> str | None:
        """The sentence about a setting that is missing, or None."""
        return next(filter(None, (source.hint() for source in self._needed)), None)

    def not_ready(self) -> str | None:
        """What keeps the agents' models from answering, or None."""
        return next(filter(None, (source.not_ready() for source in self._needed)), None)


class WithDefault(ModelProvider):
    """Models, in which another one than MODEL is for whoever names none."""

    def __init__(self, models: ModelProvider, default: Model) -> None:
        self._models = models
        self._default = default

    def get_model(self, model_name: str | None) -> Model:
        return self._default if model_name is None else self._models.get_model(model_name)
