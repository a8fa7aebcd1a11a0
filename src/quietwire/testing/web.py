"""What browsers get from a module's routes, without a web port; and a disk for uploads in memory."""

from __future__ import annotations

from collections.abc import Collection

from quietwire.core.later import Later, drive
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


class FakeFiles:
    """Implements `server.uploads.Files`: names alone. `whole` is what is there."""

    def __init__(self, *names: bytes) -> None:
        self.whole = set(names)
        self.tidied = 0

    def tidy(self) -> Later[None]:
        self.tidied += 1
        return Later.of(None)

    def names(self) -> Later[list[bytes]]:
        return Later.of(sorted(self.whole))

    def remove(self, names: Collection[bytes]) -> Later[None]:
        self.whole.difference_update(names)
        return Later.of(None)
