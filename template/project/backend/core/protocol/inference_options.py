"""What a user may choose beside a message, as its inference_options: a model and a tool."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from chatkit.icons import IconName
from chatkit.types import InferenceOptions
from pydantic import BaseModel, ConfigDict, Field

from core.errors import Refused
from core.sentences import Sentence, both
from core.settings import give_up


class Option(BaseModel):
    """One of what the server offers, by ChatKit's names. Clients do not see what is excluded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    """What a message's inference_options name it by."""
    label: str


class ModelOption(Option):
    """A model that the user may choose, in ChatKit's `composer.models`."""

    description: str | None = None
    disabled: bool = False
    """It is shown, but cannot be chosen."""
    default: bool = False
    model: str | None = Field(default=None, exclude=True)
    """Its name, as MODEL or an Agent's `model` has it; `id` if it is None."""

    @property
    def name(self) -> str:
        return self.model or self.id


class ToolOption(Option):
    """A tool that the user may choose, in ChatKit's `composer.tools`.

    It is the agent's tool of the name `id`, which the model then calls first; or, with `agent`,
    the agent that answers.
    """

    icon: IconName
    shortLabel: str | None = None
    placeholderOverride: str | None = None
    pinned: bool = False
    persistent: bool = False
    """It stays chosen after the message is sent."""
    # An Agent, which pydantic has no schema of.
    agent: Any = Field(default=None, exclude=True)
    mcp: bool = Field(default=False, exclude=True)
    """It is the tool of an MCP server, and known as soon as that is open."""


def check_kinds(options: Any, where: str, *kinds: type[Any]) -> None:
    """End the program with a sentence for something else than a list of options.

    A project may have meant something of its own by the name.
    """
    if isinstance(options, Sequence) and not isinstance(options, str):
        others = (type(each).__name__ for each in options if not isinstance(each, kinds))
        wrong = next(others, None)
    else:
        wrong = type(options).__name__
    if wrong:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        give_up(
            f"`{where}` of the server is a list of {wanted}, from which the user may choose, and "
            f"{wrong} is none. Give what is something else another name."
        )


def named(model: ModelOption | str) -> ModelOption:
    """The option; a name is one too."""
    return ModelOption(id=model, label=model) if isinstance(model, str) else model


OptionT = TypeVar("OptionT", bound=Option)


def by_id(options: Sequence[OptionT], where: str) -> dict[str, OptionT]:
    """The options by their ids. Ends the program with a sentence where two have the same."""
    found = {option.id: option for option in options}
    if len(found) < len(options):
        give_up(f"{where}: two options have the same id.")
    return found


def chosen(offered: Mapping[str, OptionT] | None, id: str | None, where: str) -> OptionT | None:
    """The option of this id, or None if nothing is chosen. Raises Refused if it is not offered.

    With None as `offered`, ids are the business of somebody else.
    """
    if offered is None or not id:
        return None
    names = [name for name, option in offered.items() if not getattr(option, "disabled", False)]
    if id not in names:
        not_offered = Sentence("{where}: {id} is not offered here.", where=where, id=repr(id[:100]))
        choice = Sentence("There is none to choose from.")
        if names:
            choice = Sentence("Choose one of {names}.", names=", ".join(names))
        raise Refused(both(not_offered, choice))
    return offered[id]


def tool_id(options: InferenceOptions) -> str | None:
    """The id of the tool that is chosen, or None."""
    return options.tool_choice.id if options.tool_choice else None


def shown(options: Mapping[str, Option] | None) -> list[dict[str, Any]]:
    """The options as ChatKit's component takes them, and the chat page."""
    given = (options or {}).values()
    return [option.model_dump(mode="json", exclude_defaults=True) for option in given]
