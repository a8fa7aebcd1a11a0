"""The page where a recovery code sets a new password. What is sealed stays; it works while the owner is away.

Never in-band over XMPP: a code that a client has sent stands in its logs, and in the server's buffers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quietwire.seal.recovery import recovery_key
from quietwire.seal.wraps import SealError
from quietwire.server import landing
from quietwire.server.admin import Admin, AdminError, BadPassword, NotOpened
from quietwire.server.http import Request, Response, form_fields
from quietwire.server.module import Context, HttpRoute, Module
from quietwire.server.registration import MAX_PASSWORD, MIN_PASSWORD

TRIES: Final = 30
"""A minute, from everybody together: who asks is not known here. A code has 135 random bits, so this keeps nobody from
guessing; it bounds the work."""
_MINUTE: Final = 60.0


@dataclass(slots=True)
class State:
    tried: deque[float] = field(default_factory=deque)
    """When, in the last minute."""

    def admit(self, now: float) -> bool:
        """One more try, if the minute has room."""
        while self.tried and not now - _MINUTE < self.tried[0] <= now:
            self.tried.popleft()
        if len(self.tried) >= TRIES:
            return False
        self.tried.append(now)
        return True


def make_state(settings: Mapping[str, Any]) -> State:
    return State()


async def on_page(context: Context, request: Request) -> Response:
    return landing.recover(context.domain.domain)


async def on_form(context: Context, request: Request) -> Response:
    """Whether there is such an account is told to whoever has its code. The code itself is the right to do this: there
    are no cookies that another page could use."""
    domain, values = context.domain.domain, form_fields(request)
    name, password = values.get("name", "").strip(), values.get("password", "")
    admin: Admin = context.ports["admin"]

    def refuse(problem: str, status: int = 400) -> Response:
        return landing.recover(domain, status=status, problem=problem, name=name)

    if password != values.get("again"):
        return refuse("These are two different passwords.")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return refuse(f"A password has {MIN_PASSWORD} characters or more.")
    code = values.get("code", "")
    try:
        recovery_key(code)
    except SealError:
        return refuse("This is no recovery code: it is mistyped somewhere.")
    if not context.state.admit(context.now):
        return refuse("Too many have tried just now. Wait a minute.", 429)
    try:
        jid = await admin.recover(name, code, password)
    except BadPassword:
        return refuse("This password cannot be used: it needs usual characters.")
    except NotOpened:
        return refuse("This code does not open an account of that name.")
    except AdminError:
        return refuse("This could not be done. Look at the name, and try again.")
    return landing.recovered(jid.text, domain)


MODULE = Module(
    name="recovery",
    xep=None,
    features=(),
    handlers=(HttpRoute("GET", landing.RECOVER, on_page), HttpRoute("POST", landing.RECOVER, on_form)),
    keeps=(),
    emits="the page, to everybody; that a code was right, to who has it",
    needs=("admin",),
    state=make_state,
)
