"""What a stored stanza says, whoever stored it: facts about messages, and about items of personal eventing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from quietwire.lab.audit.facts import Category, Facts, bare


@dataclass(slots=True)
class Node:
    """An element, as Prosody's tables, Erlang's records or text hold it."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    def first(self, name: str) -> Node | None:
        return next((node for node in self.walk() if node.name == name), None)

    def words(self) -> str:
        """All text and attributes in it: what it says."""
        said = [value for node in self.walk() for value in (*node.attributes.values(), node.text.strip()) if value]
        return " ".join(said)


def message(facts: Facts, stanza: Node, owner: str, place: str, *, stamp: str = "", other: str = "") -> None:
    """A message in an archive or a queue. `other`: the other side, where the storage says so apart."""
    sender, to = stanza.attributes.get("from", ""), stanza.attributes.get("to", "")
    delay = stanza.first("delay")
    stamp = stamp or stanza.attributes.get("stamp", "") or (delay.attributes.get("stamp", "") if delay else "")
    body = stanza.first("body")
    text = body.text if body is not None else stanza.words()
    who = sender or owner
    whom = to or (other if bare(who) == owner else owner)
    facts.add("messages", bare(who), bare(whom), f"{stamp} {text}".strip(), place)
    if stamp:
        facts.add("times", owner, stamp, "message", place)


_NODES: tuple[tuple[str, Category], ...] = (
    ("urn:xmpp:avatar:", "avatars"),
    ("urn:xmpp:vcard4", "profiles"),
    ("vcard-temp", "profiles"),
    ("urn:xmpp:bookmarks:", "bookmarks"),
    ("storage:bookmarks", "bookmarks"),
    ("urn:xmpp:mds:", "markers"),
    ("eu.siacs.conversations.axolotl", "devices"),
    ("urn:xmpp:omemo:", "devices"),
)


def kind(node: str) -> Category:
    """The category of what is published at a node, or stored under a namespace."""
    return next((category for start, category in _NODES if node.startswith(start)), "nodes")


def item(facts: Facts, owner: str, node: str, key: str, payload: Node | str, place: str) -> None:
    """An item of personal eventing."""
    said = payload if isinstance(payload, str) else payload.words()
    category = kind(node)
    facts.add(category, owner, key if category in ("bookmarks", "markers") else node, f"{key} {said}".strip(), place)
