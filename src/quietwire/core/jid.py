"""Addresses (RFC 7622): parsed once, prepared, interned in a bounded cache.

`parse_jid` is on the path of every stanza: a hit in the cache is one dictionary lookup; a miss that is plain ASCII is
one regular expression; everything else takes the way through PRECIS and IDNA.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NoReturn

import idna
from precis_i18n import get_profile

from quietwire.core.errors import QuietwireError
from quietwire.core.xml import escape

MAX_PART_BYTES: Final = 1023
"""Each part, prepared and in UTF-8 (RFC 7622 §3.1)."""

MAX_RAW_PART: Final = 1536
"""Characters of an unprepared part. Preparation composes at most three characters into two bytes or four into three, so
a longer localpart or resourcepart comes to more than 1,023 bytes; refusing it unread bounds what an attack costs."""

MAX_RAW: Final = 3 * MAX_RAW_PART + 2
"""Characters of an unprepared address."""

MAX_DNS_NAME: Final = 253
"""Characters of a domain with a U-label: IDNA knows only DNS names, whose A-labels are no shorter."""

GENERATION: Final = 4096
"""The cache has two generations of this size, 8,192 addresses: some thousand sessions and the correspondents they are
busy with, at about 0.5 KB an address a few megabytes. The older half goes when the younger one is full."""

MAX_CACHED: Final = 256
"""Characters. Longer addresses are parsed anew each time, so that nobody can fill the cache with kilobytes."""

_LOCAL_EXCLUDED: Final = frozenset("\"&'/:<>@")
"""Allowed by the IdentifierClass, forbidden by RFC 7622 §3.3.1."""

# ASCII that preparation leaves alone but for case. A label with two hyphens in a row, which may be an A-label, is left
# to the slow path. Every repetition starts with a character that the one before cannot end with: no backtracking.
_ASCII_LOCAL = r"[!#-%(-.0-9;=?A-Z\[-~]+"
_ASCII_LABEL = r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
_ASCII = re.compile(
    rf"(?:({_ASCII_LOCAL})@)?({_ASCII_LABEL}(?:\.{_ASCII_LABEL})*)\.?(?:/([ -~]+))?",
)
_LOCAL = re.compile(_ASCII_LOCAL)
_RESOURCE = re.compile("[ -~]+")
_LDH_LABEL = re.compile(_ASCII_LABEL.replace("-[", "-+["))
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")
_LABEL_SEPARATORS = re.compile("[\u3002\uff0e\uff61]")
"""Full stops that RFC 5895 §2 and the width mapping turn into a dot."""

_USERNAME = get_profile("UsernameCaseMapped")
_OPAQUE = get_profile("OpaqueString")


class JIDError(QuietwireError, ValueError):
    """Not an address. The text names the part and the rule, never the address."""


class JID:
    """A prepared address. Immutable; equal and hashed by its canonical text; made by `parse_jid` or `JID.of`.

    `local` and `resource` are '' when absent; `domain` holds U-labels and no final dot.
    """

    __slots__ = ("_bare", "_hash", "_stamp", "domain", "local", "resource", "text")

    local: str
    domain: str
    resource: str
    text: str
    _bare: JID | None
    _hash: int
    _stamp: bytes

    def __init__(self, local: str, domain: str, resource: str) -> None:
        """For parts that are prepared already; others call `JID.of`."""
        text = f"{local}@{domain}" if local else domain
        if resource:
            text = f"{text}/{resource}"
        put = object.__setattr__
        put(self, "local", local)
        put(self, "domain", domain)
        put(self, "resource", resource)
        put(self, "text", text)
        put(self, "_hash", hash(text))
        put(self, "_bare", None)
        put(self, "_stamp", b"")

    @staticmethod
    def parse(text: str) -> JID:
        """The address that `text` means. Raises `JIDError`. Same as `parse_jid`."""
        return parse_jid(text)

    @staticmethod
    def of(local: str, domain: str, resource: str = "") -> JID:
        """An address from unprepared parts, '' meaning absent. Raises `JIDError`."""
        return _prepare(local or None, domain, resource or None)

    def with_resource(self, resource: str) -> JID:
        """This address with another resource, unprepared; '' gives the bare one. Raises `JIDError`."""
        if not resource:
            return self.bare
        jid = JID(self.local, self.domain, _prepare_resource(resource))
        object.__setattr__(jid, "_bare", self.bare)
        return jid

    @property
    def bare(self) -> JID:
        """The address without its resource; itself when it has none."""
        if not self.resource:
            return self
        if self._bare is None:
            object.__setattr__(self, "_bare", JID(self.local, self.domain, ""))
        assert self._bare is not None
        return self._bare

    @property
    def stamp(self) -> bytes:
        """`` from='…'``, escaped: what each stanza of a sender begins with. Fan-out takes it from the quote on."""
        if not self._stamp:
            object.__setattr__(self, "_stamp", f" from='{escape(self.text)}'".encode())
        return self._stamp

    @property
    def is_bare(self) -> bool:
        """No resource: ``local@domain`` or ``domain``."""
        return not self.resource

    @property
    def is_domain(self) -> bool:
        """Nothing but a domain."""
        return not self.resource and not self.local

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self.text == other.text if isinstance(other, JID) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"JID({self.text!r})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a JID is immutable: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a JID is immutable: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return JID, (self.local, self.domain, self.resource)


_young: dict[str, JID] = {}
_old: dict[str, JID] = {}


def parse_jid(text: str) -> JID:
    """The address that `text` means (RFC 7622 §3). Raises `JIDError`."""
    found = _young.get(text)
    return found if found is not None else _parse_missed(text)


def _parse_missed(text: str) -> JID:
    global _old, _young
    found = _old.get(text)
    if found is None:
        found = _parse(text)
        if len(text) > MAX_CACHED:
            return found
    if len(_young) >= GENERATION:
        _old, _young = _young, {}
    _young[text] = found
    return found


def _parse(text: str) -> JID:
    if len(text) > MAX_RAW:
        raise JIDError("address: too long")
    match = _ASCII.fullmatch(text)
    if match is None:
        return _parse_slowly(text)
    local, domain, resource = match.group(1) or "", match.group(2), match.group(3) or ""
    if max(len(local), len(domain), len(resource)) > MAX_PART_BYTES:
        raise JIDError("address: a part is too long")
    return JID(local.lower(), domain.lower(), resource)


def _parse_slowly(text: str) -> JID:
    """Splits before anything is mapped (RFC 7622 §3.1), since mapping could make new separators."""
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@")
    return _prepare(local if at else None, domain if at else rest, resource if slash else None)


def _prepare(local: str | None, domain: str, resource: str | None) -> JID:
    return JID(
        "" if local is None else _prepare_local(local),
        _prepare_domain(domain),
        "" if resource is None else _prepare_resource(resource),
    )


def _prepare_local(raw: str) -> str:
    """UsernameCaseMapped less eight characters (RFC 7622 §3.3).

    A final sigma becomes a sigma, as simple case folding has it (RFC 7613 §3.2.2 prefers folding, and so do the public
    vectors): a name must not change with the letter that follows its sigma.
    """
    if len(raw) <= MAX_PART_BYTES and _LOCAL.fullmatch(raw):
        return raw.lower()
    _bound_raw("localpart", raw)
    try:
        _bounded("localpart", _USERNAME.apply_five_rules(raw))  # cheap; the look at each character is not
        local: str = _USERNAME.enforce(raw).replace("ς", "σ")
    except UnicodeError:
        raise JIDError("localpart: not allowed by UsernameCaseMapped") from None
    if not _LOCAL_EXCLUDED.isdisjoint(local):
        raise JIDError("localpart: forbidden character")
    return _bounded("localpart", local)


def _prepare_resource(raw: str) -> str:
    """OpaqueString (RFC 7622 §3.4)."""
    if len(raw) <= MAX_PART_BYTES and _RESOURCE.fullmatch(raw):
        return raw
    _bound_raw("resourcepart", raw)
    try:
        _bounded("resourcepart", _OPAQUE.apply_five_rules(raw))
        resource: str = _OPAQUE.enforce(raw)
        return resource
    except UnicodeError:
        raise JIDError("resourcepart: not allowed by OpaqueString") from None


def _prepare_domain(raw: str) -> str:
    """An IP literal, or NR-LDH labels and U-labels (RFC 7622 §3.2); a final dot is dropped."""
    _bound_raw("domainpart", raw)
    if raw.startswith("["):
        return _prepare_ip_literal(raw)
    try:
        mapped = _LABEL_SEPARATORS.sub(".", _USERNAME.width_mapping_rule(raw))
        mapped = _USERNAME.normalization_rule(mapped.lower()).removesuffix(".")
        labels = mapped.split(".")
        if len(mapped) > MAX_DNS_NAME and not all(map(_is_ldh, labels)):
            raise JIDError("domainpart: longer than a DNS name")
        return _bounded("domainpart", ".".join(map(_prepare_label, labels)))
    except UnicodeError:  # IDNAError is one
        raise JIDError("domainpart: not a domain name") from None


def _is_ldh(label: str) -> bool:
    return _LDH_LABEL.fullmatch(label) is not None and label[2:4] != "--"


def _prepare_label(label: str) -> str:
    if _is_ldh(label):
        return label  # at any length: RFC 7622 takes local names that DNS would not
    unicode = idna.ulabel(label)
    if idna.alabel(unicode).decode() != (label if label.isascii() else idna.alabel(label).decode()):
        raise JIDError("domainpart: not a valid A-label")
    if unicode.isascii() or any("A" <= c <= "Z" for c in unicode):
        raise JIDError("domainpart: not a valid A-label")
    return unicode


def _prepare_ip_literal(raw: str) -> str:
    """``[IPv6]`` or ``[IPv6%zone]``, the address in the form of RFC 5952, so that equal addresses are equal texts."""
    if not raw.endswith("]"):
        raise JIDError("domainpart: unclosed IP literal")
    text, percent, zone = raw[1:-1].partition("%")
    if percent and not _ZONE.fullmatch(zone):
        raise JIDError("domainpart: bad zone in IP literal")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise JIDError("domainpart: not an IPv6 address") from None
    mapped = address.ipv4_mapped  # spelt out: how these print depends on the version of Python
    return f"[{f'::ffff:{mapped}' if mapped else address}{percent}{zone}]"


def _bound_raw(name: str, raw: str) -> None:
    if not raw:
        raise JIDError(f"{name}: empty")
    if len(raw) > MAX_RAW_PART:
        raise JIDError(f"{name}: too long")


def _bounded(name: str, prepared: str) -> str:
    if len(prepared.encode()) > MAX_PART_BYTES:
        raise JIDError(f"{name}: longer than {MAX_PART_BYTES} bytes")
    return prepared
