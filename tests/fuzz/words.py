"""What fuzz tests write: XML that is well-formed and means nothing much, of words that mean something."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from quietwire.core.xml import escape, printable

TIMES: Final = int(os.environ.get("QUIETWIRE_FUZZ_TIMES", "1"))


def examples(number: int) -> settings:
    """That many, the same in every run; QUIETWIRE_FUZZ_TIMES for as many times more. No deadline: a busy machine is no
    error, and the number bounds the time."""
    return settings(
        max_examples=number * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


ADDRESSES: Final = (
    "alice@a.example", "alice@a.example/x", "bob@a.example", "carol@a.example/x", "eve@b.example/x", "a.example",
    "conference.a.example", "den@conference.a.example", "den@conference.a.example/al", "ALICE@A.example", "@", "a@",
    "x@b.example", "b.example", "\u0130@a.example", "\uff21lice@a.example", "a" * 1100 + "@a.example", " ",
)  # fmt: skip
DATES: Final = (
    "2001-09-09T01:46:40Z", "2001-09-09T01:46:40.123456789+14:00", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59-14:00", "2001-09-09", "20010909T01:46:40", "T", "-1",
)  # fmt: skip
NUMBERS: Final = ("0", "1", "-1", "00", "1e9", "99999999999999999999", "\u0661", "max", "true", "false", "+1", "1.5")
WORDS: Final = (
    "", "x", "node", "open", "whitelist", "presence", "roster", "member", "owner", "outcast", "none", "always",
    "never",
    "submit", "cancel", "form", "result", "get", "set", "remove", "execute", "prev", "next", "both", "error",
    "unavailable",
    "FORM_TYPE", "pubsub#access_model", "pubsub#max_items", "pubsub#node_config", "with", "start", "end", "ids",
    "before-id",
    "after-id", "include-groupchat", "muc#role", "urn:xmpp:mam:2", "http://jabber.org/protocol/pubsub#node_config",
    "http://jabber.org/protocol/pubsub#publish-options", "http://jabber.org/protocol/muc#roomconfig",
    "urn:xmpp:bookmarks:1", "storage:bookmarks", "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata",
    "urn:xmpp:vcard4",
    "urn:xmpp:invite#invite", "urn:xmpp:invite#create-account", "urn:xmpp:invite#invitation", "<&>'\"", "\u202e",
    "\U0001f600",
    "y" * 5000, "aGVsbG8=", "a=b", "\ufffd\t\n",
)  # fmt: skip
VALUES: Final = st.one_of(
    st.sampled_from(ADDRESSES), st.sampled_from(DATES), st.sampled_from(NUMBERS), st.sampled_from(WORDS),
    st.text(max_size=6).map(printable),
)  # fmt: skip
KEYS: Final = (
    "jid", "node", "id", "to", "type", "var", "name", "ver", "affiliation", "role", "nick", "subscription", "default",
    "filename", "size", "content-type", "action", "sessionid", "max_items", "notify", "queryid", "token", "host",
    "port",
    "reason", "from", "by", "stamp", "autojoin", "ask", "index", "xml:lang",
)  # fmt: skip
SPACES: Final = (
    "jabber:client", "jabber:x:data", "http://jabber.org/protocol/rsm", "http://jabber.org/protocol/pubsub",
    "http://jabber.org/protocol/pubsub#owner", "http://jabber.org/protocol/muc",
    "http://jabber.org/protocol/muc#user",
    "http://jabber.org/protocol/muc#admin", "http://jabber.org/protocol/muc#owner", "urn:xmpp:mam:2",
    "urn:xmpp:sid:0",
    "urn:xmpp:bookmarks:1", "storage:bookmarks", "vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0",
    "urn:xmpp:forward:0",
    "urn:xmpp:avatar:metadata", "urn:xmpp:avatar:data", "urn:xmpp:delay", "urn:xmpp:reporting:1", "jabber:iq:roster",
    "urn:ietf:params:xml:ns:xmpp-stanzas", "urn:xmpp:blocking", "urn:xmpp:push:0", "jabber:iq:register", "urn:u", "",
)  # fmt: skip
NAMES: Final = (
    "item", "x", "field", "value", "option", "set", "max", "before", "after", "index", "query", "publish", "retract",
    "items", "create", "configure", "delete", "purge", "affiliations", "affiliation", "subscribe", "unsubscribe",
    "options",
    "subscription", "subscriptions", "default", "publish-options", "always", "never", "jid", "group", "storage",
    "conference", "nick", "password", "PHOTO", "BINVAL", "TYPE", "FN", "vcard", "photo", "uri", "metadata", "data",
    "info",
    "username", "remove", "reason", "destroy", "invite", "decline", "report", "text", "error", "forwarded",
    "message", "delay",
    "service", "flip-page", "request", "ephemeral", "history", "body", "subject", "note", "extensions",
)  # fmt: skip
ATTRIBUTES: Final = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3).map(
    lambda found: "".join(f" {key}='{escape(value)}'" for key, value in found.items())
)


def element(name: str, space: str | None, attributes: str, inner: str) -> str:
    declared = "" if space is None else f" xmlns='{space}'"
    return f"<{name}{declared}{attributes}>{inner}</{name}>"


def _joined(children: list[str]) -> str:
    return "".join(children)


_LEAF = st.builds(
    element,
    st.sampled_from(NAMES),
    st.sampled_from((None, *SPACES)),
    ATTRIBUTES,
    st.one_of(st.just(""), VALUES.map(escape)),
)
FIELD: Final = st.builds(
    lambda var, values: f"<field var='{escape(var)}'>{''.join(f'<value>{escape(v)}</value>' for v in values)}</field>",
    VALUES,
    st.lists(VALUES, max_size=2),
)
FORM: Final = st.builds(
    lambda kind, type_, fields: f"<x xmlns='jabber:x:data'{kind}>{type_}{''.join(fields)}</x>",
    st.sampled_from((" type='submit'", " type='submit'", " type='submit'", " type='cancel'", " type='form'", "")),
    st.one_of(
        st.just(""),
        st.sampled_from(
            (
                "urn:xmpp:mam:2", "http://jabber.org/protocol/pubsub#node_config", "urn:xmpp:invite#invitation",
                "http://jabber.org/protocol/pubsub#publish-options", "http://jabber.org/protocol/muc#roomconfig",
            )
        ).map(lambda space: f"<field var='FORM_TYPE'><value>{space}</value></field>"),
    ),
    st.lists(FIELD, max_size=3),
)  # fmt: skip
RSM: Final = st.lists(
    st.builds(
        element, st.sampled_from(("max", "before", "after", "index")), st.none(), st.just(""), VALUES.map(escape)
    ),
    max_size=3,
).map(lambda inner: f"<set xmlns='http://jabber.org/protocol/rsm'>{''.join(inner)}</set>")
INNER: Final = st.recursive(
    st.one_of(_LEAF, FORM, RSM),
    lambda inner: st.builds(
        element,
        st.sampled_from(NAMES),
        st.sampled_from((None, *SPACES)),
        ATTRIBUTES,
        st.lists(inner, max_size=3).map(_joined),
    ),
    max_leaves=5,
)
"""Some element."""


def payload(tag: str) -> st.SearchStrategy[str]:
    """An element of that Clark name with anything in it."""
    space, _, name = tag[1:].partition("}")
    return st.builds(element, st.just(name), st.just(space), ATTRIBUTES, st.lists(INNER, max_size=3).map(_joined))
