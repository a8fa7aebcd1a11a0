"""The stream features that a client is offered, stage by stage (RFC 6120 §4.3.2)."""

from __future__ import annotations

from collections.abc import Iterable

from quietwire.core import ns
from quietwire.core.sasl import announced
from quietwire.server.bind2 import NS as BIND2
from quietwire.server.bound import Bound
from quietwire.server.c2s_host import Host
from quietwire.server.links import Link
from quietwire.server.tokens import NS as FAST

SASL2 = "urn:xmpp:sasl:2"
BINDINGS = "urn:xmpp:sasl-cb:0"
LIMITS = "urn:xmpp:stream-limits:0"
_STARTTLS = f"<starttls xmlns='{ns.TLS}'><required/></starttls>"


def before_login(host: Host, link: Link) -> bytes:
    """Until somebody has logged in: TLS, then both forms of SASL (RFC 6120 §6, XEP-0388) with the kinds of channel
    binding (XEP-0440) and what SASL2 does along with it (XEP-0386, XEP-0198 §9, XEP-0484)."""
    if not link.secure:
        return _features(_STARTTLS)
    bindings = link.bindings
    names = _mechanisms(host.gate.mechanisms(True, bindings))
    types = "".join(f"<channel-binding type='{name}'/>" for name in announced(bindings))
    listed = f"<sasl-channel-binding xmlns='{BINDINGS}'>{types}</sasl-channel-binding>" if types else ""
    inline = "".join(f"<feature var='{name}'/>" for name in host.inline_features())
    along = f"<bind xmlns='{BIND2}'><inline>{inline}</inline></bind><sm xmlns='{ns.SM}'/>"
    tokens = host.tokens.mechanisms(bindings)
    if tokens:
        along += f"<fast xmlns='{FAST}'>{_mechanisms(tokens)}</fast>"
    return _features(
        f"<mechanisms xmlns='{ns.SASL}'>{names}</mechanisms>{listed}"
        f"<authentication xmlns='{SASL2}'>{names}<inline>{along}</inline></authentication>",
        _limits(min(host.settings.unauthenticated_bytes, host.settings.limits.stanza_bytes)),
        host.features(before_login=True).decode(),
    )


def after_login(host: Host, bound: Bound | None = None) -> bytes:
    """`bound`: the session that the stream carries already; what it has is not offered again."""
    bind = f"<bind xmlns='{ns.BIND}'/>" if bound is None else ""
    managed = f"<sm xmlns='{ns.SM}'/>" if bound is None or not bound.outgoing.enabled else ""
    limits = _limits(host.settings.limits.stanza_bytes)
    return _features(bind, managed, limits, host.features().decode())


def _limits(size: int) -> str:
    """XEP-0478. There is no `idle-seconds`: a client may be silent for ever as long as its machine answers TCP."""
    return f"<limits xmlns='{LIMITS}'><max-bytes>{size}</max-bytes></limits>"


def _mechanisms(names: Iterable[str]) -> str:
    return "".join(f"<mechanism>{name}</mechanism>" for name in names)


def _features(*parts: str) -> bytes:
    return f"<stream:features>{''.join(parts)}</stream:features>".encode()
