"""The elements of stream management on a client's stream (XEP-0198 §3-§5); the counting itself is `server/sm.py`."""

from __future__ import annotations

from collections.abc import Mapping

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.jid import JID
from quietwire.core.later import Later
from quietwire.core.stanza import Child
from quietwire.core.xml import escape
from quietwire.server.bound import Bound
from quietwire.server.c2s_host import Carrier, Host
from quietwire.server.links import Link
from quietwire.server.sm import MODULO

_SM = f"{{{ns.SM}}}"
REQUEST = f"{_SM}r"
ANSWER = f"{_SM}a"
ENABLE = f"{_SM}enable"
RESUME = f"{_SM}resume"
RESUME_SECONDS = 10.0
"""For what was handled to become safe: a commit takes milliseconds. What a stalled disk or a server that cannot be
reached still holds then comes twice rather than not at all; clients give up after some 30 s."""


def hear(host: Host, link: Link, bound: Bound, child: Child) -> bool:
    """One element on a bound stream. False if it is none of stream management's. Raises StreamError."""
    kind = child.kind
    if kind == REQUEST:
        if bound.outgoing.enabled:
            bound.incoming.requested()
        else:
            link.put(failed("unexpected-request"))
    elif kind == ANSWER:
        h = _number(child.attributes)
        if h is None:
            raise StreamError("policy-violation", "h is a number")
        if not bound.outgoing.acknowledged_by_peer(h):
            raise _overclaimed(h, bound)
    elif kind == ENABLE:
        resumable = child.attributes.get("resume") in ("true", "1")
        link.put(failed("unexpected-request") if bound.outgoing.enabled else enable(host, bound, resumable=resumable))
    elif kind == RESUME:
        link.put(failed("unexpected-request"))
    else:
        return False
    return True


def enable(host: Host, bound: Bound, *, resumable: bool) -> bytes:
    """Switches stream management on; -> ``<enabled/>``."""
    bound.outgoing.enabled = True
    bound.incoming.start()
    extra = ""
    if resumable:
        resume_id, seconds = host.make_resumable(bound)
        extra = f" id='{resume_id}' resume='true' max='{seconds}'"
    return f"<enabled xmlns='{ns.SM}'{extra}/>".encode()


async def resume(host: Host, stream: Carrier, account: JID, wish: Mapping[str, str]) -> tuple[Bound | None, bytes]:
    """Gives the session that ``<resume/>``, by its attributes, asks for to `stream`; -> it and ``<resumed/>``, or None
    and ``<failed/>``. Waits until all that the session has handled is safe: its client sends the rest again, and what
    was handled before would be there twice.

    The caller then writes the element and calls `bound.outgoing.resume`. Raises StreamError."""
    previd = wish.get("previd", "")
    h = _number(wish)
    bound = host.resumable(previd, account)
    if bound is None or h is None:
        return None, failed("item-not-found", host.handled(previd, account))
    if not bound.outgoing.confirm(h):
        raise _overclaimed(h, bound)
    host.unhand(bound)
    if bound.incoming.safe() != bound.incoming.handled:
        await _all_safe(host, bound)
        if stream.closing or host.resumable(previd, account) is not bound:  # gone meanwhile, the client or the session
            return None, failed("item-not-found", host.handled(previd, account))
    host.adopt(bound, stream)
    handled = bound.incoming.forget() % MODULO
    return bound, f"<resumed xmlns='{ns.SM}' previd='{escape(previd)}' h='{handled}'/>".encode()


def _all_safe(host: Host, bound: Bound) -> Later[None]:
    later: Later[None] = Later()

    def over() -> None:
        if not later.settled:
            patience.cancel()
            later.resolve(None)

    patience = host.timers.after(RESUME_SECONDS, over)
    bound.incoming.when_safe(over)
    return later


def failed(condition: str, handled: int | None = None) -> bytes:
    """`handled`: what the server took of a session that is over (XEP-0198 §5)."""
    h = f" h='{handled % MODULO}'" if handled is not None else ""
    return f"<failed xmlns='{ns.SM}'{h}><{condition} xmlns='{ns.STANZAS}'/></failed>".encode()


def _number(attributes: Mapping[str, str]) -> int | None:
    h = attributes.get("h", "")
    return int(h) if h.isascii() and h.isdecimal() and len(h) <= 10 else None


def _overclaimed(h: int, bound: Bound) -> StreamError:
    # XEP-0198 §4 names the element; the condition around it is undefined-condition.
    element = f"<handled-count-too-high xmlns='{ns.SM}' h='{h}' send-count='{bound.outgoing.sent}'/>"
    return StreamError("undefined-condition", specific=element)
