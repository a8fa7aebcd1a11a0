"""The configuration of a node of personal eventing (XEP-0060 §16.4.4) and the data forms it travels in (XEP-0004)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from quietwire.core.errors import StanzaError
from quietwire.core.xml import Element, build

PUBSUB: Final = "http://jabber.org/protocol/pubsub"
ERRORS: Final = f"{PUBSUB}#errors"
NODE_CONFIG: Final = f"{PUBSUB}#node_config"
PUBLISH_OPTIONS: Final = f"{PUBSUB}#publish-options"
DATA: Final = "jabber:x:data"
X: Final = f"{{{DATA}}}x"
FIELD: Final = f"{{{DATA}}}field"
VALUE: Final = f"{{{DATA}}}value"

MAX_ITEMS: Final = 1_000
"""Items of one node, what "max" means: bookmarks and read markers have one a conversation. The list of their names is
one row, rewritten at every publication: 50 KB at most in practice."""

MAX_TEXT: Final = 256
"""Bytes of a title or description, and of a roster group in `roster_groups_allowed`: they are read by people."""

MAX_GROUPS: Final = 64
"""Roster groups that a node is shown to, as many as an item of the roster may have."""

ACCESS_MODELS: Final = ("open", "presence", "roster", "whitelist")
SEND_LAST: Final = ("never", "on_sub", "on_sub_and_presence")


def pubsub_error(condition: str, specific: str, text: str = "", *, type: str | None = None) -> StanzaError:
    """An error with a condition of XEP-0060 §7ff."""
    return StanzaError(condition, text, type=type, specific=f"{{{ERRORS}}}{specific}")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What can be configured, with personal eventing's defaults (XEP-0163 §5)."""

    access_model: str = "presence"
    deliver_notifications: bool = True
    deliver_payloads: bool = True
    description: str = ""
    itemreply: str = "none"
    """Items in notifications name their publisher, the account's bare JID: never the device."""
    max_items: int = 1
    notification_type: str = "headline"
    notify_delete: bool = True
    notify_retract: bool = True
    persist_items: bool = True
    roster_groups_allowed: tuple[str, ...] = ()
    send_last_published_item: str = "on_sub_and_presence"
    title: str = ""
    type: str = ""

    def apply(self, values: Mapping[str, tuple[str, ...]]) -> NodeConfig:
        """With the fields of a form (`read_form`). Raises StanzaError not-acceptable for a field that is unknown or a
        value that is not supported; then nothing is changed."""
        return replace(self, **_parsed(values))

    def meets(self, values: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether preconditions hold (XEP-0060 §7.1.5). An unknown one never does."""
        try:
            wanted = _parsed(values)
        except StanzaError:
            return False
        return all(getattr(self, name) == value for name, value in wanted.items())

    def form(self, kind: str) -> Element:
        """The configuration as a form of type `form` or `result`."""
        hidden = build(FIELD, {"var": "FORM_TYPE", "type": "hidden"}, build(VALUE, text=NODE_CONFIG))
        entries = [
            build(FIELD, {"var": f"pubsub#{name}", "type": rule.kind}, *(build(VALUE, text=v) for v in rule.show(self)))
            for name, rule in RULES.items()
        ]
        return build(X, {"type": kind}, hidden, *entries)

    def to_dict(self) -> dict[str, Any]:
        """What differs from the defaults, for the store."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NodeConfig:
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**known)


def defaults(node: str) -> NodeConfig:
    """What a new node of that name starts with where its maker does not say otherwise."""
    return _PRIVATE.get(node, _DEFAULT)


_DEFAULT: Final = NodeConfig()
_LIST: Final = NodeConfig(access_model="whitelist", max_items=MAX_ITEMS, send_last_published_item="never")
_PRIVATE: Final[Mapping[str, NodeConfig]] = {
    "storage:bookmarks": NodeConfig(access_model="whitelist"),
    "urn:xmpp:bookmarks:1": _LIST,
    "urn:xmpp:contacts": _LIST,
    "urn:xmpp:mds:displayed:0": _LIST,
}
"""Nodes that are nobody's but their owner's (XEP-0223: bookmarks, read markers, address book). A client that forgets to
say so must not show them to every contact."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a field is read and shown. `read` gives the value or raises ValueError; None for one that has no place in
    `NodeConfig` because only one value is supported."""

    kind: str
    read: Callable[[tuple[str, ...]], Any]
    show: Callable[[NodeConfig], tuple[str, ...]]
    kept: bool = True


def _one(values: tuple[str, ...]) -> str:
    (value,) = values
    return value.strip()


def _boolean(name: str) -> _Rule:
    def read(values: tuple[str, ...]) -> bool:
        return {"1": True, "true": True, "0": False, "false": False}[_one(values)]

    return _Rule("boolean", read, lambda config: ("1" if getattr(config, name) else "0",))


def _choice(name: str, allowed: tuple[str, ...]) -> _Rule:
    def read(values: tuple[str, ...]) -> str:
        return allowed[allowed.index(_one(values))]

    return _Rule("list-single", read, lambda config: (getattr(config, name),))


def _text(name: str) -> _Rule:
    def read(values: tuple[str, ...]) -> str:
        value = _one(values or ("",))
        return _bounded(value)

    return _Rule("text-single", read, lambda config: (getattr(config, name),))


def _only(kind: str, *accepted: str) -> _Rule:
    """A field of which one value is supported, in any of its spellings; the first is shown."""

    def read(values: tuple[str, ...]) -> None:
        accepted.index(_one(values))

    return _Rule(kind, read, lambda _: accepted[:1], kept=False)


def _bounded(value: str) -> str:
    if len(value.encode()) > MAX_TEXT:
        raise ValueError("too long")
    return value


def _count(values: tuple[str, ...]) -> int:
    value = _one(values)
    if value == "max":
        return MAX_ITEMS
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise ValueError("no number")
    return min(max(int(value), 1), MAX_ITEMS)  # more than we keep means as many as we keep


def _groups(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > MAX_GROUPS:
        raise ValueError("too many")
    return tuple(sorted(_bounded(value) for value in set(values)))


RULES: Final[Mapping[str, _Rule]] = {
    "access_model": _choice("access_model", ACCESS_MODELS),
    "deliver_notifications": _boolean("deliver_notifications"),
    "deliver_payloads": _boolean("deliver_payloads"),
    "description": _text("description"),
    "item_expire": _only("text-single", "max"),
    "itemreply": _choice("itemreply", ("none", "owner", "publisher")),
    "max_items": _Rule(
        "text-single", _count, lambda config: ("max" if config.max_items == MAX_ITEMS else str(config.max_items),)
    ),
    "node_type": _only("list-single", "leaf"),
    "notification_type": _choice("notification_type", ("headline", "normal")),
    "notify_config": _only("boolean", "0", "false"),
    "notify_delete": _boolean("notify_delete"),
    "notify_retract": _boolean("notify_retract"),
    "notify_sub": _only("boolean", "0", "false"),
    "persist_items": _boolean("persist_items"),
    "publish_model": _only("list-single", "publishers"),
    "purge_offline": _only("boolean", "0", "false"),
    "roster_groups_allowed": _Rule("list-multi", _groups, lambda config: config.roster_groups_allowed),
    "send_last_published_item": _choice("send_last_published_item", SEND_LAST),
    "subscribe": _only("boolean", "1", "true"),
    "title": _text("title"),
    "type": _text("type"),
}
"""Every field that is understood; what is not in here is refused rather than ignored, so that nobody relies on it."""


def _parsed(values: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, texts in values.items():
        rule = RULES.get(name)
        if rule is None:
            raise StanzaError("not-acceptable", f"{name[:64]}: not supported")
        try:
            value = rule.read(texts)
        except (ValueError, KeyError):
            if name == "access_model":
                raise pubsub_error("not-acceptable", "unsupported-access-model") from None
            raise StanzaError("not-acceptable", f"{name}: value not supported") from None
        if rule.kept:
            parsed[name] = value
    return parsed


def read_form(parent: Element, form_type: str) -> dict[str, tuple[str, ...]] | None:
    """The fields of the submitted form in `parent`, without ``pubsub#``; {} without a form, None if it was cancelled.

    Raises StanzaError bad-request for a form of another kind or a field twice.
    """
    form = parent.find(X)
    if form is None:
        return {}
    if form.get("type") == "cancel":
        return None
    found: dict[str, tuple[str, ...]] = {}
    for element in form.iterfind(FIELD):
        var = element.get("var", "")
        if var in found:
            raise pubsub_error("bad-request", "invalid-options", "a field twice")
        found[var] = tuple(value.text or "" for value in element.iterfind(VALUE))
    # Some clients leave the type out where only one makes sense.
    if form.get("type", "submit") != "submit" or found.pop("FORM_TYPE", None) != (form_type,):
        raise pubsub_error("bad-request", "invalid-options", f"a form of type {form_type} is needed")
    return {var.removeprefix("pubsub#"): values for var, values in found.items()}
