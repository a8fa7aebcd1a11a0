"""Comparing XML with what was expected: prefixes, quotes, order of attributes and white space around do not count.

In what is expected, ``{*}`` in an attribute or text stands for anything and ``{name}`` for the same thing each time.
An attribute ``_='...'`` says that more attributes and, between and after those written, more children may stand there.
Archive ids (XEP-0359), which nearly every message has, count only where one is expected.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from quietwire.core import ns
from quietwire.core.xml import Element, parse, serialise

_WILD = re.compile(r"\{(\*|[a-z][a-z0-9_]*)\}")
_OPEN = "_"
_MESSAGE = f"{{{ns.CLIENT}}}message"
_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"


def difference(expected: str, got: Element, known: MutableMapping[str, str]) -> str | None:
    """Why `got` is not what was expected, or None. `known` is read and filled with what names stand for."""
    bound = dict(known)
    problem = _compare(parse(expected.strip().encode(), ns.CLIENT), got, bound)
    if problem is None:
        known.update(bound)
    return problem


def show(got: object) -> str:
    return serialise(got, ns.CLIENT).decode() if isinstance(got, Element) else str(got)


def _compare(expected: Element, got: Element, known: MutableMapping[str, str]) -> str | None:
    if expected.tag != got.tag:
        return f"expected <{expected.tag}>, got <{got.tag}>"
    attributes = dict(expected.attrib)
    more = attributes.pop(_OPEN, None) is not None
    if attributes.keys() - got.attrib.keys() or (not more and got.attrib.keys() - attributes.keys()):
        return f"<{got.tag}>: expected the attributes {sorted(attributes)}, got {sorted(got.attrib)}"
    for key, value in attributes.items():
        if not _text(value, got.attrib[key], known):
            return f"<{got.tag}>: {key} is {got.attrib[key]!r}, expected {value!r}"
    if not _text((expected.text or "").strip(), (got.text or "").strip(), known) and not (more and not expected.text):
        return f"<{got.tag}>: text {got.text!r}, expected {expected.text!r}"
    children = list(got)
    if got.tag == _MESSAGE and expected.find(_STANZA_ID) is None:
        children = [child for child in children if child.tag != _STANZA_ID]
    return _children(expected, children, more, known)


def _children(expected: Element, got: list[Element], more: bool, known: MutableMapping[str, str]) -> str | None:
    at = 0
    for child in expected:
        problem: str | None = f"<{expected.tag}>: <{child.tag}> is missing"
        while at < len(got):
            tried = dict(known)
            candidate = _compare(child, got[at], tried)
            at += 1
            if candidate is None:
                known.update(tried)
                problem = None
                break
            if not more:
                return candidate
        if problem is not None:
            return problem
    if at < len(got) and not more:
        return f"<{expected.tag}>: not expected: <{got[at].tag}>"
    return None


def _text(expected: str, got: str, known: MutableMapping[str, str]) -> bool:
    parts: list[str] = []
    names: list[str] = []
    end = 0
    for found in _WILD.finditer(expected):
        parts.append(re.escape(expected[end : found.start()]))
        name = found[1]
        if name == "*":
            parts.append(".*")
        elif name in known:
            parts.append(re.escape(known[name]))
        elif name in names:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>.+)")
            names.append(name)
        end = found.end()
    parts.append(re.escape(expected[end:]))
    match = re.fullmatch("".join(parts), got, re.DOTALL)
    if match is None:
        return False
    known.update(match.groupdict())
    return True
