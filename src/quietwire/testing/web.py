"""What browsers get from a module's routes, without a web port."""

from __future__ import annotations

from quietwire.core.later import drive
from quietwire.server.http import Request, Response
from quietwire.server.module import Context, HttpRoute
from quietwire.testing.assembly import Assembly


def ask(house: Assembly, request: Request) -> Response:
    """The answer of the route of that method and path; AssertionError if there is none or it is not there at once."""
    route, base = _find(house, request)
    answers: list[tuple[Response | None, BaseException | None]] = []

    async def answer() -> Response:
        return await route.handler(house.router.context(base, None, None), request)

    assert drive(answer(), lambda got, error: answers.append((got, error)))
    got, error = answers[0]
    if error is not None:
        raise error
    assert got is not None
    return got


def _find(house: Assembly, request: Request) -> tuple[HttpRoute, Context]:
    for route, base in house.router.http:
        prefix = route.path.endswith("/*") and request.path.startswith(route.path[:-1])
        if route.method == request.method and (prefix or route.path == request.path):
            return route, base
    raise AssertionError(f"no route for {request.method} {request.path}")
