from __future__ import annotations

from urllib.parse import urlencode

import pytest

from quietwire.seal.recovery import make_recovery_code
from quietwire.server.http import Request, Response
from quietwire.server.landing import RECOVER
from quietwire.server.modules.recovery import TRIES
from quietwire.testing.playbook import Playbook

GOOD = "a good password"
OWNER = b"alice@a.example"


class World:
    """alice is away, has a recovery code and something sealed; bob has no code."""

    def __init__(self) -> None:
        self.play = Playbook(accounts=("bob",))
        self.code = make_recovery_code(self.play.randomness)
        self.play.run(self.play.server.admin.add("alice", "forgotten", recovery_code=self.code))
        alice = self.play.connect().authenticate("alice", "forgotten").bind("x")
        self.play.server.store.put("private", OWNER, b"x", b"kept")
        alice >> "</stream:stream>"

    def page(self, method: str = "GET", **values: str) -> Response:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        router = self.play.server.router
        [(route, base)] = [(r, b) for r, b in router.http if r.path == RECOVER and r.method == method]
        request = Request(method, RECOVER, {}, headers, urlencode(values).encode())
        response: Response = self.play.run(route.handler(router.context(base, None, None), request))
        self.play.settle()
        return response

    def attempt(self, **values: str) -> tuple[int, str]:
        """Status, and what the page says is wrong."""
        given = {"name": "alice", "code": self.code, "password": GOOD, "again": GOOD, **values}
        response = self.page("POST", **given)
        return response.status, response.body.decode().partition('role="alert">')[2].partition("<")[0]


def test_the_form_and_what_it_brings() -> None:
    world = World()
    assert b"Recovery code" in world.page().body
    assert world.attempt() == (200, "")
    world.play.connect().authenticate("alice", GOOD).bind("x")
    assert world.play.server.store.get("private", OWNER, b"x").result() == b"kept"
    assert world.attempt(code=world.code.lower().replace("-", " "), name="Alice@a.example") == (200, "")


def test_who_has_no_code_learns_nothing() -> None:
    world = World()
    other = make_recovery_code(world.play.randomness)
    answers = {
        world.attempt(name="alice", code=other),
        world.attempt(name="bob"),
        world.attempt(name="bob", code=other),
        world.attempt(name="nobody", code=other),
        world.attempt(name="nobody"),
    }
    assert answers == {(400, "This code does not open an account of that name.")}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"again": "another"}, "two different"),
        ({"password": "short", "again": "short"}, "8 characters or more"),
        ({"code": "none"}, "mistyped"),
        ({"code": ""}, "mistyped"),
        ({"name": "a b"}, "Look at the name"),
        ({"name": ""}, "Look at the name"),
        ({"name": "alice@b.example"}, "Look at the name"),
        ({"password": "no \x7f control", "again": "no \x7f control"}, "usual characters"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, str], said: str) -> None:
    world = World()
    status, problem = world.attempt(**values)
    assert (status, said in problem) == (400, True)
    world.play.connect().authenticate("alice", "forgotten")


def test_what_is_typed_is_not_taken_for_html() -> None:
    world = World()
    response = world.page("POST", name='"><script>', password="x", again="y")
    assert b"<script>" not in response.body


def test_tries_are_few() -> None:
    world = World()
    other = make_recovery_code(world.play.randomness)
    for _ in range(TRIES):
        assert world.attempt(code=other)[0] == 400
    assert world.attempt() == (429, "Too many have tried just now. Wait a minute.")
    world.play.pass_time(61)
    assert world.attempt() == (200, "")
