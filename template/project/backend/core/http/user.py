"""Who asks, for the routes of app/api.py: `async def mine(user: User)`."""

from typing import Annotated

from fastapi import Depends, Request, Response

from core.context import RequestContext
from core.http.routes import identify


async def current_user(request: Request, response: Response) -> RequestContext:
    """The signed-in user, whose request comes from a page that may send it.

    With it come the store, and what app/resources.py has opened. Raises Refused, which becomes the
    response: 401 for nobody, 403 for a page of another site, 503 while something is away.
    """
    context = await identify(request)
    context.resources = await request.app.state.server.resources.get()
    response.headers["X-Request-ID"] = context.request_id
    return context


User = Annotated[RequestContext, Depends(current_user)]
"""A parameter of this type makes a route the signed-in users' own."""
