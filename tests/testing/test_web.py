from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.server.http import Request, Response
from quietwire.server.module import Context, HttpRoute, Module
from quietwire.testing.assembly import Assembly
from quietwire.testing.web import FakeFiles, ask


async def page(context: Context, request: Request) -> Response:
    return Response(200, f"{context.domain.text}{request.path}".encode())


async def broken(context: Context, request: Request) -> Response:
    raise StanzaError("bad-request")


HOUSE = (
    Module(
        "page",
        None,
        (),
        (HttpRoute("GET", "/a", page), HttpRoute("GET", "/b/*", page), HttpRoute("POST", "/c", broken)),
        (),
        "nothing",
    ),
)


@pytest.mark.parametrize("path", ["/a", "/b/", "/b/c"])
def test_the_route_answers(path: str) -> None:
    assert ask(Assembly(HOUSE), Request("GET", path)).body == f"a.example{path}".encode()


@pytest.mark.parametrize(("method", "path"), [("POST", "/a"), ("GET", "/a/"), ("GET", "/b"), ("GET", "/")])
def test_where_there_is_none_the_test_fails(method: str, path: str) -> None:
    with pytest.raises(AssertionError, match="no route"):
        ask(Assembly(HOUSE), Request(method, path))


def test_what_a_handler_raises_is_raised() -> None:
    with pytest.raises(StanzaError):
        ask(Assembly(HOUSE), Request("POST", "/c"))


def test_the_disk_in_memory() -> None:
    files = FakeFiles(b"a", b"b")
    files.remove([b"a", b"c"]).result()
    assert files.names().result() == [b"b"]
    files.tidy().result()
    assert files.tidied == 1
