"""Whether a server of the project's has something of its own under the name of a core's method."""

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from core.settings import give_up

OURS = ("core.", "chatkit.")


def check_methods(server: type) -> None:
    """End the program with a sentence for each method that could not be called as the core does.

    It may be meant for something else, and be older than the core's of that name.
    """
    if wrong := list(_wrong(server)):
        give_up(*wrong)


def _wrong(server: type) -> Iterator[str]:
    for kind in server.__mro__:
        if kind.__module__.startswith(OURS):
            continue
        for name, given in vars(kind).items():
            method = _of_core(server, name)
            if method and not name.startswith("__") and not _takes(given, method):
                parameters = ", ".join(list(inspect.signature(method).parameters)[1:])
                yield (
                    f"`{name}` of {kind.__module__}.{kind.__qualname__} has the name of a method "
                    f"that is called with ({parameters}). Take these, or give it another name."
                )


def _of_core(server: type, name: str) -> FunctionType | None:
    """The method of this name that is called, if there is one."""
    found = [
        vars(kind)[name]
        for kind in server.__mro__
        if kind.__module__.startswith(OURS) and name in vars(kind)
    ]
    return found[0] if found and isinstance(found[0], FunctionType) else None


def _takes(given: Any, method: FunctionType) -> bool:
    """Whether it can be called as the method is; only a plain function's parameters are known."""
    if not isinstance(given, FunctionType):
        return callable(given) or hasattr(given, "__get__")
    needed = [
        each for each in inspect.signature(method).parameters.values() if each.default is each.empty
    ]
    by_name = {each.name: None for each in needed if each.kind is each.KEYWORD_ONLY}
    in_order = [None for each in needed if each.kind is each.POSITIONAL_OR_KEYWORD]
    try:
        inspect.signature(given).bind(*in_order, **by_name)
    except TypeError:
        return False
    return True
