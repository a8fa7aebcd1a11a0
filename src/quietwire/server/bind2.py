"""Bind 2 (XEP-0386 1.1.0): a resource, bound along with the login, and what a session begins with."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError, StreamError
from quietwire.core.jid import JID, JIDError
from quietwire.core.xml import Element, serialise
from quietwire.server import c2s_sm
from quietwire.server.account import Client
from quietwire.server.bound import Bound
from quietwire.server.c2s_host import Carrier, Host

NS: Final = "urn:xmpp:bind:0"
TAG_CHARACTERS: Final = 64
"""Of the client's tag, which everybody who sees its presence sees."""
_RESOURCE_BYTES: Final = 9
_AS_STREAM_ERROR: Final = {"resource-constraint": "resource-constraint", "not-allowed": "not-authorized"}
_TRUE: Final = ("true", "1")


async def bind(host: Host, stream: Carrier, account: JID, wish: Element, client: Client | None) -> tuple[Bound, bytes]:
    """Binds a resource as ``<bind/>`` asks; -> the session, to which nothing was written yet, and ``<bound/>``.

    Raises StreamError: SASL2 has no other answer to a login that succeeded where its binding failed."""
    try:
        bound = await host.bind(account, resource(host, account, wish), stream, None, client)
    except StanzaError as error:
        raise StreamError(_AS_STREAM_ERROR.get(error.condition, "internal-server-error")) from None
    try:
        _check(stream, bound)
        inner = b"".join(_switch_on(host, bound, child) for child in wish)
        for about in await host.metadata(bound):
            inner += serialise(about, NS)
        _check(stream, bound)
    except BaseException:
        host.end(bound)
        raise
    return bound, b"<bound xmlns='%b'>%b</bound>" % (NS.encode(), inner)


def resource(host: Host, account: JID, wish: Element) -> str:
    """The client's tag, where it can stand in an address, and something random: the same client gets another resource
    each time, so that nobody who has seen one recognises it (XEP-0386 §3.2.1 leaves that to us)."""
    ours = host.randomness(_RESOURCE_BYTES).hex()
    tag = (wish.findtext(f"{{{NS}}}tag") or "").strip()[:TAG_CHARACTERS]
    if not tag:
        return ours
    try:
        return account.with_resource(f"{tag}/{ours}").resource
    except JIDError:
        return ours


def _switch_on(host: Host, bound: Bound, wish: Element) -> bytes:
    if wish.tag == c2s_sm.ENABLE:
        if bound.outgoing.enabled:
            return c2s_sm.failed("unexpected-request")
        return c2s_sm.enable(host, bound, resumable=wish.get("resume") in _TRUE)
    answer = host.inline(bound, wish)
    return serialise(answer, NS) if answer is not None else b""


def _check(stream: Carrier, bound: Bound) -> None:
    """Meanwhile the client may have gone, or somebody ended the session. Raises StreamError."""
    session = bound.session
    if stream.closing or session.account.sessions.get(session.jid.resource) is not session:
        raise StreamError("reset")
