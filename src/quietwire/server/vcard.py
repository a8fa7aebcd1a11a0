"""The two vCards of XMPP as trees: vcard-temp (XEP-0054) and vCard4 (XEP-0292, RFC 6351), and each as the other.

Pictures are not converted: they are published as avatars (`server/avatars.py`). What has no counterpart is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.core.xml import build

TEMP: Final = "vcard-temp"
FOUR: Final = "urn:ietf:params:xml:ns:vcard-4.0"
NODE: Final = "urn:xmpp:vcard4"
"""Where an account publishes its vCard4."""
TABLE: Final = "vcard"
OPEN_TABLE: Final = "open_vcard"
"""While the node is open to everybody."""
KEY: Final = b"card"
VCARD: Final = f"{{{TEMP}}}vCard"
VCARD4: Final = f"{{{FOUR}}}vcard"
PHOTO: Final = f"{{{TEMP}}}PHOTO"

_TEXTS: Final = {
    "FN": ("fn", "text"),
    "NICKNAME": ("nickname", "text"),
    "BDAY": ("bday", "date"),
    "TITLE": ("title", "text"),
    "ROLE": ("role", "text"),
    "NOTE": ("note", "text"),
    "DESC": ("note", "text"),
    "URL": ("url", "uri"),
    "TZ": ("tz", "text"),
}
"""Properties of one value: name in vcard-temp -> name and type of the value in vCard4."""

_PARTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "N": (
        "n",
        {"FAMILY": "surname", "GIVEN": "given", "MIDDLE": "additional", "PREFIX": "prefix", "SUFFIX": "suffix"},
    ),
    "ADR": (
        "adr",
        {
            "POBOX": "pobox",
            "EXTADD": "ext",
            "STREET": "street",
            "LOCALITY": "locality",
            "REGION": "region",
            "PCODE": "code",
            "CTRY": "country",
        },
    ),
}
"""Properties with parts."""

_TYPED: Final = {"TEL": ("tel", "NUMBER"), "EMAIL": ("email", "USERID")}
"""Properties with one value and types."""

_TYPES: Final = {"HOME": "home", "WORK": "work", "VOICE": "voice", "FAX": "fax", "CELL": "cell"}
"""What a number or address is for, of what both know."""


def to_vcard4(card: Element) -> Element:
    """A vcard-temp ``<vCard/>`` as ``<vcard/>``."""
    out = build(VCARD4)
    for field in card:
        name = field.tag.rpartition("}")[2]
        if name in _TEXTS:
            if text := _text(field):
                tag, kind = _TEXTS[name]
                out.append(_four(tag, _four(kind, text=text)))
        elif name in _PARTS:
            tag, parts = _PARTS[name]
            found = [_four(new, text=text) for old, new in parts.items() if (text := _text(_old(field, old)))]
            if found:
                out.append(_four(tag, *_parameters(field), *found))
        elif name in _TYPED:
            tag, value = _TYPED[name]
            if text := _text(_old(field, value)):
                out.append(_four(tag, *_parameters(field), _four("text", text=text)))
        elif make := _OTHERS_TEMP.get(name):
            out.extend(make(field))
    return out


def to_temp(card: Element) -> Element:
    """A vCard4 ``<vcard/>`` as a vcard-temp ``<vCard/>``."""
    out = build(VCARD)
    for field in card:
        name = field.tag.rpartition("}")[2]
        if name in _TEXTS_BACK:
            if text := _value(field):
                out.append(_temp(_TEXTS_BACK[name], text=text))
        elif name in _PARTS_BACK:
            tag, parts = _PARTS_BACK[name]
            found = [_temp(old, text=text) for old, new in parts.items() if (text := _text(_new(field, new)))]
            if found:
                out.append(_temp(tag, *_flags(field), *found))
        elif name in _TYPED_BACK:
            tag, value = _TYPED_BACK[name]
            if text := _value(field).removeprefix("tel:").removeprefix("mailto:"):
                out.append(_temp(tag, *_flags(field), _temp(value, text=text)))
        elif make := _OTHERS_FOUR.get(name):
            out.extend(make(field))
    return out


def _four(tag: str, *children: Element, text: str | None = None) -> Element:
    return build(f"{{{FOUR}}}{tag}", None, *children, text=text)


def _temp(tag: str, *children: Element, text: str | None = None) -> Element:
    return build(f"{{{TEMP}}}{tag}", None, *children, text=text)


def _old(field: Element, name: str) -> Element | None:
    return field.find(f"{{{TEMP}}}{name}")


def _new(field: Element, name: str) -> Element | None:
    return field.find(f"{{{FOUR}}}{name}")


def _text(element: Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _value(field: Element) -> str:
    """The value of a vCard4 property, whatever its type; the first where there are several."""
    return next((text for child in field if child.tag != f"{{{FOUR}}}parameters" and (text := _text(child))), "")


def _parameters(field: Element) -> Iterator[Element]:
    types = [new for old, new in _TYPES.items() if _old(field, old) is not None]
    if types:
        yield _four("parameters", _four("type", *(_four("text", text=kind) for kind in types)))


def _flags(field: Element) -> Iterator[Element]:
    path = f"{{{FOUR}}}parameters/{{{FOUR}}}type/{{{FOUR}}}text"
    said = {_text(element).lower() for element in field.iterfind(path)}
    return (_temp(old) for old, new in _TYPES.items() if new in said)


def _org4(field: Element) -> Iterable[Element]:
    texts = [_text(child) for child in field if child.tag in (f"{{{TEMP}}}ORGNAME", f"{{{TEMP}}}ORGUNIT")]
    if any(texts):
        yield _four("org", *(_four("text", text=text) for text in texts if text))


def _org(field: Element) -> Iterable[Element]:
    texts = [text for child in field.iterfind(f"{{{FOUR}}}text") if (text := _text(child))]
    if texts:
        yield _temp("ORG", _temp("ORGNAME", text=texts[0]), *(_temp("ORGUNIT", text=text) for text in texts[1:]))


def _words4(field: Element) -> Iterable[Element]:
    words = [text for child in field.iterfind(f"{{{TEMP}}}KEYWORD") if (text := _text(child))]
    if words:
        yield _four("categories", *(_four("text", text=word) for word in words))


def _words(field: Element) -> Iterable[Element]:
    words = [text for child in field.iterfind(f"{{{FOUR}}}text") if (text := _text(child))]
    if words:
        yield _temp("CATEGORIES", *(_temp("KEYWORD", text=word) for word in words))


def _geo4(field: Element) -> Iterable[Element]:
    lat, lon = _text(_old(field, "LAT")), _text(_old(field, "LON"))
    if lat and lon:
        yield _four("geo", _four("uri", text=f"geo:{lat},{lon}"))


def _geo(field: Element) -> Iterable[Element]:
    lat, comma, lon = _value(field).removeprefix("geo:").partition(";")[0].partition(",")
    if comma:
        yield _temp("GEO", _temp("LAT", text=lat), _temp("LON", text=lon.partition(",")[0]))


def _impp4(field: Element) -> Iterable[Element]:
    if text := _text(field):
        yield _four("impp", _four("uri", text=f"xmpp:{text}"))


def _impp(field: Element) -> Iterable[Element]:
    value = _value(field)
    if value.startswith("xmpp:"):
        yield _temp("JABBERID", text=value.removeprefix("xmpp:"))


_OTHERS_TEMP: Final[Mapping[str, Callable[[Element], Iterable[Element]]]] = {
    "ORG": _org4,
    "CATEGORIES": _words4,
    "GEO": _geo4,
    "JABBERID": _impp4,
}
_OTHERS_FOUR: Final[Mapping[str, Callable[[Element], Iterable[Element]]]] = {
    "org": _org,
    "categories": _words,
    "geo": _geo,
    "impp": _impp,
}
_TEXTS_BACK: Final = {new: old for old, (new, _) in _TEXTS.items()}
_PARTS_BACK: Final = {new: (old, parts) for old, (new, parts) in _PARTS.items()}
_TYPED_BACK: Final = {new: (old, value) for old, (new, value) in _TYPED.items()}
