"""Data forms (XEP-0004): fields, whole forms, and what comes back filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.xml import Element, build

DATA: Final = "jabber:x:data"
X: Final = f"{{{DATA}}}x"
FIELD: Final = f"{{{DATA}}}field"
VALUE: Final = f"{{{DATA}}}value"
OPTION: Final = f"{{{DATA}}}option"
REQUIRED: Final = f"{{{DATA}}}required"

MAX_FIELDS: Final = 128
"""Of a submitted form: four times what the longest form of ours has."""
MAX_VALUES: Final = 5_000
"""Of one field: owners and admins by JID, as many as a room may have."""

Fields = Mapping[str, tuple[str, ...]]


def field(
    var: str,
    kind: str = "",
    label: str = "",
    values: Iterable[str] = (),
    options: Iterable[tuple[str, str]] = (),
    *,
    required: bool = False,
    extra: Iterable[Element] = (),
) -> Element:
    """``<field/>``; an option is (label, value)."""
    attributes = {"var": var} | ({"type": kind} if kind else {}) | ({"label": label} if label else {})
    return build(
        FIELD,
        attributes,
        *extra,
        *((build(REQUIRED),) if required else ()),
        *(build(VALUE, text=value) for value in values),
        *(build(OPTION, {"label": name}, build(VALUE, text=value)) for name, value in options),
    )


def form(kind: str, form_type: str, fields: Iterable[Element], *, title: str = "", instructions: str = "") -> Element:
    """``<x/>`` of that type (form, submit, result)."""
    head = [build(f"{{{DATA}}}title", text=title)] if title else []
    if instructions:
        head.append(build(f"{{{DATA}}}instructions", text=instructions))
    return build(X, {"type": kind}, *head, field("FORM_TYPE", "hidden", values=(form_type,)), *fields)


def read(x: Element, form_type: str) -> dict[str, tuple[str, ...]]:
    """The fields of a submitted form. Raises StanzaError(bad-request): of another kind, too many, a field twice.

    Some clients leave FORM_TYPE out where only one makes sense.
    """
    found: dict[str, tuple[str, ...]] = {}
    for element in x.iterfind(FIELD):
        var = element.get("var")
        if var is None:
            continue  # what is fixed has no name
        values = tuple(value.text or "" for value in element.iterfind(VALUE))
        if var in found or len(found) >= MAX_FIELDS or len(values) > MAX_VALUES:
            raise StanzaError("bad-request")
        found[var] = values
    if found.pop("FORM_TYPE", (form_type,)) != (form_type,):
        raise StanzaError("bad-request")
    return found
