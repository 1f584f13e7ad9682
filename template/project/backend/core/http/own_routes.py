"""The routes of app/api.py, checked: none may hide behind one that is there already."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from core.settings import give_up

REMEDY = {"/": ' Give the chat page another path in app/wiring.py, such as path="/chat".'}


def add_own_routes(app: FastAPI, add_routes: Callable[[FastAPI], None]) -> None:
    """Call `add_routes`, last of all.

    Ends the program with a sentence where one of its routes would never be reached, because the
    first route of a path answers it.
    """
    before = list(app.routes)
    add_routes(app)
    taken = set(answers(before))
    mounted = tuple(f"{route.path}/" for route in before if isinstance(route, Mount) and route.path)
    for method, path in answers(app.routes[len(before) :]):
        if (method, path) in taken or path.startswith(mounted):
            give_up(
                f"app/api.py: {method} {path} is served by core/ already.{REMEDY.get(path, '')}"
            )


def answers(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The methods and paths that these routes answer."""
    for route in routes:
        path = prefix + str(getattr(route, "path", ""))
        if isinstance(route, Mount):
            yield "GET", path or "/"
            continue
        for method in getattr(route, "methods", None) or ():
            yield method, path
        # FastAPI keeps an included router as one route.
        if router := getattr(route, "original_router", None):
            yield from answers(router.routes, prefix + included_prefix(route))


def included_prefix(route: Any) -> str:
    """The prefix under which FastAPI has included a router, whose paths do not have it yet."""
    prefix: str = route.include_context.prefix
    return prefix
