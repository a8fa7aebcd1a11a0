"""Entity capabilities (XEP-0115 1.6.0): the verification string, and learning what clients want without asking twice.

Only what somebody uses is learnt: personal eventing calls `Caps.learn` with presence it heard, and gets the features of
that client, at once if its verification string is known, later if the client must be asked first.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from quietwire.core import ns
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Presence
from quietwire.core.xml import Element, build
from quietwire.server.disco import FEATURE, IDENTITY, INFO
from quietwire.server.module import Services

NS: Final = "http://jabber.org/protocol/caps"
C: Final = f"{{{NS}}}c"
DATA: Final = "jabber:x:data"
LANG: Final = f"{{{ns.XML}}}lang"

SERVER_NODE: Final = "urn:quietwire:server"
"""The `node` of the server's own ``<c/>``: names the program, not the installation."""

HASHES: Final = {"sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""IANA's names of what we verify -> hashlib's. SHA-1 is mandatory (§8.1); MD5 is left out, it proves nothing."""

MAX_CACHED: Final = 1_000
"""Verification strings remembered. Some hundred clients and versions are in use at a time; whoever invents more only
makes the server ask again."""

MAX_FEATURES: Final = 16_384
"""Bytes of one client's features. The richest clients have 6 KB; with the bound above the cache ends at 16 MB."""

MAX_WAITING: Final = 100
"""Clients of one unknown verification string that wait for its answer; more are learnt at their next presence."""

MAX_ASKED: Final = 2_000
"""Verification strings asked for at a time, each for 30 s at most: a mass login of clients that are all different."""

MAX_VER: Final = 256
"""Bytes of `node`, `ver` and `hash` together: a URL and a SHA-512 in Base64 are 190."""


class IllFormed(Exception):
    """A disco#info answer that §5.4 refuses."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``<c/>`` of a presence."""

    node: str
    ver: str
    hash: str


def claim(presence: Presence) -> Claim | None:
    """What a presence says of its sender's capabilities; None where it says nothing, something too long, or has the
    legacy format without `hash`, which proves nothing (§11)."""
    element = presence.child(C)
    if element is None:
        return None
    node, ver, hash_name = element.get("node", ""), element.get("ver", ""), element.get("hash", "")
    if not (node and ver and hash_name) or len((node + ver + hash_name).encode()) > MAX_VER:
        return None
    return Claim(node, ver, hash_name)


def make_c(node: str, query: Element) -> Element:
    """``<c/>`` for an entity that answers disco#info with `query` (§4)."""
    return build(C, {"hash": "sha-1", "node": node, "ver": verification(query, "sha-1")})


def verification(query: Element, hash_name: str) -> str:
    """The `ver` of a disco#info answer (§5.1). KeyError for a hash that is not in `HASHES`; raises `IllFormed`."""
    text = _string(query).encode()
    return b64encode(hashlib.new(HASHES[hash_name], text, usedforsecurity=False).digest()).decode()


def _string(query: Element) -> str:
    identities = [
        "/".join((e.get("category", ""), e.get("type", ""), e.get(LANG, ""), e.get("name", "")))
        for e in query.iterfind(IDENTITY)
    ]
    features = [e.get("var", "") for e in query.iterfind(FEATURE)]
    forms = [form for form in map(_form, query.iterfind(f"{{{DATA}}}x")) if form is not None]
    if len({kind for kind, _ in forms}) != len(forms):
        raise IllFormed("two forms of one type")
    out = "".join(f"{part}<" for part in (*_sorted_once(identities), *_sorted_once(features)))
    for kind, fields in sorted(forms, key=lambda form: form[0].encode()):
        out += f"{kind}<"
        for var, values in sorted(fields, key=lambda entry: entry[0].encode()):
            out += f"{var}<" + "".join(f"{value}<" for value in sorted(values, key=str.encode))
    return out


def _sorted_once(parts: list[str]) -> list[str]:
    """By octets (i;octet). A part with ``<`` could stand for several: that is how a string is forged (§8.2)."""
    if len(set(parts)) != len(parts) or any("<" in part for part in parts):
        raise IllFormed("something twice, or an unescaped separator")
    return sorted(parts, key=str.encode)


def _form(form: Element) -> tuple[str, list[tuple[str, list[str]]]] | None:
    """(FORM_TYPE, fields), None for a form that does not count (§5.4 step 3.6)."""
    kind: str | None = None
    fields = []
    for element in form.iterfind(f"{{{DATA}}}field"):
        values = [value.text or "" for value in element.iterfind(f"{{{DATA}}}value")]
        var = element.get("var", "")
        if var != "FORM_TYPE":
            if "<" in var or any("<" in value for value in values):
                raise IllFormed("an unescaped separator")
            fields.append((var, values))
        elif element.get("type") == "hidden" and values:
            if len(set(values)) > 1 or "<" in values[0]:
                raise IllFormed("a form of two types")
            kind = values[0]
    return None if kind is None else (kind, fields)


Learnt = Callable[[frozenset[str]], None]


@dataclass(slots=True)
class _Asking:
    """A verification string that is being asked for. `waiting`: others that claim it: (asker, full JID, callback)."""

    claim: Claim
    waiting: deque[tuple[JID, JID, Learnt]] = field(default_factory=deque)


class Caps:
    """Features by (hash, ver), least recently used forgotten first. Only verified answers are remembered, so nobody can
    put words into another client's mouth (§5.4, §8.3)."""

    def __init__(self, size: int = MAX_CACHED) -> None:
        self._size = size
        self._known: OrderedDict[tuple[str, str], frozenset[str]] = OrderedDict()
        self._asking: dict[tuple[str, str], _Asking] = {}

    def learn(self, services: Services, claim: Claim, asker: JID, full: JID, learnt: Learnt) -> None:
        """Gives `learnt` the features of the client at `full` that made `claim`: at once if they are known; after its
        answer to a request from `asker`, a bare JID that it may answer; or never, if it gives none that holds."""
        if claim.hash not in HASHES:
            # Unverifiable: of use for this client alone, never for others (§5.4 step 2).
            self._ask(services, claim, asker, full, lambda query: None if query is None else learnt(_features(query)))
            return
        key = (claim.hash, claim.ver)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            learnt(known)
            return
        asking = self._asking.get(key)
        if asking is not None:
            if len(asking.waiting) < MAX_WAITING:
                asking.waiting.append((asker, full, learnt))
        elif len(self._asking) < MAX_ASKED:
            asking = self._asking[key] = _Asking(claim, deque(((asker, full, learnt),)))
            self._next(services, key, asking)

    def _next(self, services: Services, key: tuple[str, str], asking: _Asking) -> None:
        """Asks the first that waits; the others wait for its answer, and are asked in turn if it does not hold."""
        if not asking.waiting:
            del self._asking[key]
            return
        asker, full, _ = asking.waiting[0]

        def answered(query: Element | None) -> None:
            features = None if query is None else verified(query, asking.claim)
            if features is None:
                asking.waiting.popleft()
                self._next(services, key, asking)
                return
            del self._asking[key]
            self._known[key] = features
            if len(self._known) > self._size:
                self._known.popitem(last=False)
            for _, _, learnt in asking.waiting:
                learnt(features)

        self._ask(services, asking.claim, asker, full, answered)

    @staticmethod
    def _ask(
        services: Services, claim: Claim, asker: JID, full: JID, answered: Callable[[Element | None], None]
    ) -> None:
        query = build(INFO, {"node": f"{claim.node}#{claim.ver}"})

        def done(reply: Iq | None) -> None:
            answered(None if reply is None or reply.type != "result" else reply.child(INFO))

        services.ask(Iq.make(to=full, from_=asker, type="get", children=(query,)), done)


def verified(query: Element, claim: Claim) -> frozenset[str] | None:
    """The features of an answer that is well-formed and has the claimed hash, else None."""
    try:
        if verification(query, claim.hash) != claim.ver:
            return None
    except IllFormed:
        return None
    return _features(query)


def _features(query: Element) -> frozenset[str]:
    features = frozenset(element.get("var", "") for element in query.iterfind(FEATURE))
    return features if sum(map(len, features)) <= MAX_FEATURES else frozenset()
