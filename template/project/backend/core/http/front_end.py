"""A front end of one's own, served by this server: its built files, under a policy of their own."""

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from fastapi import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from core.settings import BACKEND

log = logging.getLogger("app")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked for anew each time, and sent only if it has changed: a new build must be seen.
    "Cache-Control": "no-cache",
}


class FrontEnd(StaticFiles):
    """The files of a folder, for `app.mount("/", FrontEnd("../web/dist", policy="…"))`.

    Where there is no such file, a path without a dot gets index.html, for the front end's own
    router to show.
    """

    def __init__(self, folder: str | Path, *, policy: str) -> None:
        """`folder` begins at backend/; `policy` is the Content-Security-Policy of each file."""
        self._index = BACKEND / folder / "index.html"
        if not self._index.is_file():
            # No reason to end: the tests need no front end, and it may be built later.
            log.warning("app/api.py: there is no %s. Build the front end.", self._index)
        super().__init__(directory=self._index.parent, html=True, check_dir=False)
        self._headers = HEADERS | {"Content-Security-Policy": policy}

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        if not self._index.is_file():
            raise HTTPException(404, "The front end has not been built.")
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or "." in path.rpartition("/")[2]:
                raise
            response = await super().get_response("index.html", scope)
        response.headers.update(self._headers)
        return response
