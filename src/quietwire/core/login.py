"""A login that a helper makes for a client: PLAIN comes in, SCRAM goes out (RFC 6120 §6, XEP-0388). Pure.

Between a client and its server a helper that ends TLS is what channel binding is there to find. A client that could
bind, and is not offered it, says so in its SCRAM message, and a server that did offer it refuses. So the helper takes
the password over the link that it ends itself, and proves it to the server by SCRAM, bound to its own link if it can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.core import ns, xml
from quietwire.core.errors import StreamError
from quietwire.core.sasl.failure import SaslFailure, decode_payload, encode_payload
from quietwire.core.sasl.plain import parse_plain
from quietwire.core.sasl.scram_initiator import HASHES, Initiator
from quietwire.core.stanza import Nonza

SASL2: Final = "urn:xmpp:sasl:2"
SPACES: Final = (ns.SASL, SASL2)


def best(offered: Iterable[str], bindable: bool) -> str:
    """The mechanism to log in by, '' for none that is known here. `bindable`: a -PLUS may be chosen."""
    there = set(offered)
    for suffix in ("-PLUS", "") if bindable else ("",):
        for name in HASHES:
            if name + suffix in there:
                return name + suffix
    return ""


class Login:
    """One login of a stream, from ``<auth/>`` or ``<authenticate/>`` to its success or failure."""

    def __init__(self, mechanism: str, bindings: Mapping[str, bytes], randomness: Callable[[int], bytes]) -> None:
        """`bindings`: those that the server takes, by type, the best first; `randomness(n)` gives n bytes."""
        self._mechanism = mechanism
        self._bindings = bindings
        self._randomness = randomness
        self._exchange: Initiator | None = None
        self._proved = False

    def request(self, child: Nonza) -> Element | None:
        """What the server gets for a client's request; None where it is none by PLAIN, and goes as it is. Raises
        SaslFailure."""
        space = xml.namespace(child.kind)
        tree = child.tree
        if child.kind not in (f"{{{ns.SASL}}}auth", f"{{{SASL2}}}authenticate") or tree.get("mechanism") != "PLAIN":
            return None
        initial = tree if space == ns.SASL else tree.find(f"{{{SASL2}}}initial-response")
        who = parse_plain(decode_payload((initial.text if initial is not None else "") or ""))
        binding = next(iter(self._bindings.items())) if self._mechanism.endswith("-PLUS") else None
        self._exchange = Initiator(self._mechanism, who, self._randomness(18).hex(), binding)
        self._proved = False
        first = encode_payload(self._exchange.first())
        if space == ns.SASL:
            return xml.build(tree.tag, {"mechanism": self._mechanism}, text=first)
        sent = xml.build(tree.tag, {**tree.attrib, "mechanism": self._mechanism})
        sent.append(xml.build(f"{{{SASL2}}}initial-response", text=first))
        sent.extend(part for part in tree if part is not initial)
        return sent

    def challenge(self, child: Nonza) -> Element | None:
        """The answer to a server's challenge; None for one that is the client's affair. Raises SaslFailure."""
        exchange, space = self._exchange, xml.namespace(child.kind)
        if exchange is None or space not in SPACES or xml.local_name(child.kind) != "challenge":
            return None
        data = decode_payload(child.tree.text or "")
        if data.startswith(b"v="):  # the last word as a challenge: older servers
            self._prove(data)
            return xml.build(f"{{{space}}}response")
        return xml.build(f"{{{space}}}response", text=encode_payload(exchange.final(data)))

    def end(self, child: Nonza) -> Element | None:
        """A success as the client is told of it; None for what is the client's affair. Raises StreamError where the
        server has not proved that it knows the password."""
        space, name = xml.namespace(child.kind), xml.local_name(child.kind)
        if self._exchange is None or space not in SPACES or name not in ("success", "continue", "failure"):
            return None
        tree = child.tree
        if name == "failure":
            self._exchange = None
            return tree
        said = tree if space == ns.SASL else tree.find(f"{{{SASL2}}}additional-data")
        if said is not None and said.text and said.text.strip():
            try:
                self._prove(decode_payload(said.text.strip()))
            except SaslFailure:
                raise _unproved() from None
        if not self._proved:
            raise _unproved()
        self._exchange = None
        told = xml.build(tree.tag, tree.attrib)
        if space == SASL2:
            told.extend(part for part in tree if part is not said)
        return told

    def _prove(self, data: bytes) -> None:
        assert self._exchange is not None
        if not self._exchange.check(data):
            raise _unproved()
        self._proved = True


def _unproved() -> StreamError:
    return StreamError("not-authorized", "the server did not prove that it knows the password")


def failure(space: str, condition: str) -> bytes:
    """``<failure/>`` in the namespace of the request."""
    return f"<failure xmlns='{space}'><{condition} xmlns='{ns.SASL}'/></failure>".encode()
