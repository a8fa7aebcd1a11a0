"""Stored XML as `stanzas.Node`s."""

from __future__ import annotations

from xml.parsers import expat

from quietwire.lab.audit.stanzas import Node


def of_text(text: str) -> Node | None:
    """The first element in a text; None for what is no XML. Entities are not expanded, prefixes stay."""
    parser = expat.ParserCreate()
    stack: list[Node] = []
    found: list[Node] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(name.rpartition(":")[2], attributes)
        if stack:
            stack[-1].children.append(node)
        elif not found:
            found.append(node)
        stack.append(node)

    def end(name: str) -> None:
        stack.pop()

    def data(said: str) -> None:
        if stack:
            stack[-1].text += said

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    try:
        parser.Parse(text, True)
    except expat.ExpatError:
        return found[0] if found else None
    return found[0]
