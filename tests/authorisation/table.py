"""Who may do what: a row for every handler of every module that somebody outside can reach.

`HANDLERS` has for each what is asked, of whom, who may, and what the others are answered. What only the server itself
calls has no row; a kind of handler that is in neither list fails the test of this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from estate import ALL, NOBODY, ONESELF, SEEING, USERS

from quietwire.server.module import (
    BindInline,
    Command,
    Handler,
    Hosted,
    HttpRoute,
    IqGet,
    IqSet,
    NonzaHook,
    PreauthIq,
    RequestHook,
)
from quietwire.server.modules import discover

ALICE: Final = "alice@a.example"
SERVER: Final = "a.example"
UPLOAD: Final = "upload.a.example"

INTERNAL: Final = frozenset(
    (
        "AccountHook", "BoundMetadata", "ClientHook", "Closing", "Every", "Loading", "MessageHook", "NodeHook",
        "Opening", "PresenceHook", "PresenceStamp", "Reload", "SessionHook", "Setting", "StreamFeature",
    )
)  # fmt: skip
"""Called for what was let in already, or by the server itself."""


def key(module: str, handler: Handler) -> str:
    """The name of a handler in the table; '' for one that nobody outside reaches."""
    match handler:
        case IqGet(tag):
            return f"{module} get {tag}"
        case IqSet(tag):
            return f"{module} set {tag}"
        case PreauthIq(kind, tag):
            return f"{module} before login {kind} {tag}"
        case NonzaHook(tag):
            return f"{module} nonza {tag}"
        case BindInline(_, tag):
            return f"{module} bind {tag}"
        case HttpRoute(method, path):
            return f"{module} {method} {path}"
        case Command(node):
            return f"{module} command {node}"
        case Hosted(label):
            return f"{module} at {label}"
        case RequestHook():
            return f"{module} request"
        case _:
            assert type(handler).__name__ in INTERNAL, handler
            return ""


@dataclass(frozen=True, slots=True)
class Row:
    """`refusal`: what all others are answered, ``result`` for one with nothing in it; where those of other servers are
    answered otherwise, `foreign`."""

    handler: str
    kind: str
    payload: str
    to: str
    may: frozenset[str]
    refusal: str
    foreign: str = ""

    @property
    def name(self) -> str:
        return f"{self.handler} to {self.to}: {self.payload[:200]}"


def _of(module: str, kind: str, tag: str, inner: str = "", attributes: str = "") -> tuple[str, str, str]:
    space, _, local = tag[1:].partition("}")
    return f"{module} {kind} {tag}", kind, f"<{local} xmlns='{space}'{attributes}>{inner}</{local}>"


def _rows(
    what: tuple[str, str, str], account: frozenset[str], refusal: str, server: frozenset[str] = NOBODY, at: str = "",
    foreign: str = "",
) -> list[Row]:  # fmt: skip
    """For the account and for the server; `at`: the server's refusal, the account's where there is none."""
    return [Row(*what, ALICE, account, refusal), Row(*what, SERVER, server, at or refusal, foreign)]


MAM: Final = "{urn:xmpp:mam:2}"
UNAVAILABLE: Final = "service-unavailable"
_ALWAYS: Final = " default='always'"
_PUBSUB: Final = "{http://jabber.org/protocol/pubsub}pubsub"
_OWNER: Final = "{http://jabber.org/protocol/pubsub#owner}pubsub"
_DISCO: Final = "{http://jabber.org/protocol/disco#"
_ROSTER: Final = "{jabber:iq:roster}query"
_ITEM: Final = "<item jid='mallory@c.example'/>"
_NOTE: Final = "<note xmlns='urn:note'/>"
_PUSH: Final = " jid='push.c.example' node='n'"
_PASSWORD: Final = "<username>alice</username><password>another-password</password>"
_TURN: Final = "<service host='relay.a.example' type='turn'/>"
_COMMANDS: Final = "{http://jabber.org/protocol/commands}command"
_CAM: Final = "{urn:xmpp:cam:0}"

IQ: Final[list[Row]] = [
    *_rows(_of("archive", "set", f"{MAM}query"), ONESELF, "forbidden", at=UNAVAILABLE),
    *_rows(_of("archive", "get", f"{MAM}query"), ONESELF, "forbidden", at=UNAVAILABLE),
    *_rows(_of("archive", "get", f"{MAM}metadata"), ONESELF, "forbidden", at=UNAVAILABLE),
    *_rows(_of("archive_preferences", "get", f"{MAM}prefs"), ONESELF, "forbidden", at=UNAVAILABLE),
    *_rows(
        _of("archive_preferences", "set", f"{MAM}prefs", "<always/><never/>", _ALWAYS),
        ONESELF, "forbidden", at=UNAVAILABLE,
    ),
    *_rows(_of("blocking", "get", "{urn:xmpp:blocking}blocklist"), ONESELF, UNAVAILABLE),
    *_rows(_of("blocking", "set", "{urn:xmpp:blocking}block", _ITEM), ONESELF, UNAVAILABLE),
    *_rows(_of("blocking", "set", "{urn:xmpp:blocking}unblock"), ONESELF, UNAVAILABLE),
    *_rows(_of("carbons", "set", "{urn:xmpp:carbons:2}enable"), ONESELF, UNAVAILABLE),
    *_rows(_of("carbons", "set", "{urn:xmpp:carbons:2}disable"), ONESELF, UNAVAILABLE),
    *_rows(_of("links", "get", "{urn:quietwire:links:0}link"), ONESELF, UNAVAILABLE),
    *_rows(_of("links", "set", "{urn:quietwire:links:0}link", attributes=" profile='off'"), ONESELF, UNAVAILABLE),
    *_rows(_of("clients", "get", f"{_CAM}list"), ONESELF, UNAVAILABLE),
    *_rows(_of("clients", "set", f"{_CAM}revoke", attributes=" id='x'"), ONESELF, UNAVAILABLE),
    *_rows(_of("clients", "get", f"{_CAM}revoke", attributes=" id='x'"), ONESELF, UNAVAILABLE),
    *_rows(
        _of("commands", "set", _COMMANDS, attributes=" node='urn:xmpp:invite#invite'"),
        ONESELF, UNAVAILABLE, USERS, "forbidden",
    ),
    *_rows(_of("disco", "get", f"{_DISCO}info}}query"), SEEING, UNAVAILABLE, ALL),
    *_rows(_of("disco", "get", f"{_DISCO}items}}query"), SEEING, "result", ALL),  # an empty list
    *_rows(
        _of("external-services", "get", "{urn:xmpp:extdisco:2}services"), NOBODY, UNAVAILABLE, USERS, "forbidden"
    ),
    *_rows(
        _of("external-services", "get", "{urn:xmpp:extdisco:2}credentials", _TURN),
        NOBODY, UNAVAILABLE, USERS, "forbidden",
    ),
    *_rows(_of("last", "get", "{jabber:iq:last}query"), ONESELF, UNAVAILABLE, USERS),
    *_rows(_of("ping", "get", "{urn:xmpp:ping}ping"), ONESELF, UNAVAILABLE, ALL),
    *_rows(_of("private", "get", "{jabber:iq:private}query", _NOTE), ONESELF, "forbidden"),
    *_rows(_of("private", "set", "{jabber:iq:private}query", _NOTE), ONESELF, "forbidden"),
    *_rows(_of("push", "set", "{urn:xmpp:push:0}enable", attributes=_PUSH), ONESELF, UNAVAILABLE),
    *_rows(_of("push", "set", "{urn:xmpp:push:0}disable", attributes=_PUSH), ONESELF, UNAVAILABLE),
    *_rows(_of("registration", "get", "{jabber:iq:register}query"), ONESELF, UNAVAILABLE, USERS),
    *_rows(
        _of("registration", "set", "{jabber:iq:register}query", _PASSWORD), ONESELF, UNAVAILABLE,
        ONESELF, "not-allowed", foreign=UNAVAILABLE,
    ),
    *_rows(_of("roster", "get", _ROSTER), ONESELF, UNAVAILABLE),
    *_rows(_of("roster", "set", _ROSTER, _ITEM), ONESELF, "forbidden"),
    *_rows(
        _of("session", "set", "{urn:ietf:params:xml:ns:xmpp-session}session"), ONESELF, UNAVAILABLE, USERS
    ),
    Row(*_of("session", "set", "{urn:ietf:params:xml:ns:xmpp-bind}bind"), ALICE, NOBODY, UNAVAILABLE),
    *_rows(_of("time", "get", "{urn:xmpp:time}time"), ONESELF, UNAVAILABLE, ALL),
    *_rows(_of("vcard", "get", "{vcard-temp}vCard"), SEEING, UNAVAILABLE),
    *_rows(_of("vcard", "set", "{vcard-temp}vCard", "<FN>x</FN>"), ONESELF, "forbidden"),
    *_rows(_of("version", "get", "{jabber:iq:version}query"), ONESELF, UNAVAILABLE, ALL),
]  # fmt: skip
"""`Row.may` of what is asked of the server says who gets a result, which concerns the asker's own account only."""


def _pubsub(kind: str, inner: str, may: frozenset[str] = ONESELF, refusal: str = "item-not-found") -> list[Row]:
    what = _of("pep", kind, _PUBSUB, inner)
    return [Row(*what, ALICE, may, refusal), Row(*what, SERVER, NOBODY, UNAVAILABLE)]


def _owned(kind: str, inner: str) -> list[Row]:
    what = _of("pep", kind, _OWNER, inner)
    return [Row(*what, ALICE, ONESELF, "item-not-found"), Row(*what, SERVER, NOBODY, UNAVAILABLE)]


_FORM: Final = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#node_config"
    "</value></field><field var='pubsub#access_model'><value>open</value></field></x>"
)
_ENTRY: Final = "<item id='i'><entry xmlns='urn:e'/></item>"

PUBSUB: Final[list[Row]] = [
    *_pubsub("set", f"<publish node='closed'>{_ENTRY}</publish>"),
    *_pubsub("set", f"<publish node='new'>{_ENTRY}</publish>"),
    *_pubsub("set", "<retract node='closed' notify='1'><item id='i'/></retract>"),
    *_pubsub("set", "<create node='new'/>"),
    *_pubsub("get", "<items node='closed'/>"),
    *_pubsub("get", "<items node='closed'><item id='i'/></items>"),
    *_pubsub("get", "<items node='seen'/>", SEEING),
    *_pubsub("set", "<subscribe node='closed' jid='{me}'/>"),
    *_pubsub("set", "<subscribe node='seen' jid='{me}'/>", SEEING),
    *_pubsub("set", "<subscribe node='seen' jid='alice@a.example'/>"),
    *_pubsub("set", "<unsubscribe node='closed' jid='bob@a.example'/>", NOBODY),
    *_owned("get", "<configure node='closed'/>"),
    *_owned("set", f"<configure node='closed'>{_FORM}</configure>"),
    *_owned("get", "<default/>"),
    *_owned("get", "<affiliations node='closed'/>"),
    *_owned(
        "set", "<affiliations node='closed'><affiliation jid='eve@b.example' affiliation='member'/></affiliations>"
    ),
    *_owned("set", "<purge node='closed'/>"),
    *_owned("set", "<delete node='closed'/>"),
]
"""alice's node ``closed`` is for her whitelist, ``seen`` for those who see her presence. Who may see a node is told
that changing it is forbidden: `test_pubsub_of_a_node_one_may_see`."""

SEEN: Final[list[tuple[str, str]]] = [
    (kind, f"<pubsub xmlns='http://jabber.org/protocol/pubsub{space}'>{inner}</pubsub>")
    for kind, space, inner in (
        ("set", "", f"<publish node='seen'>{_ENTRY}</publish>"),
        ("set", "", "<retract node='seen'><item id='i'/></retract>"),
        ("set", "", "<create node='seen'/>"),
        ("get", "#owner", "<configure node='seen'/>"),
        ("set", "#owner", f"<configure node='seen'>{_FORM}</configure>"),
        ("get", "#owner", "<affiliations node='seen'/>"),
        ("set", "#owner", "<affiliations node='seen'/>"),
        ("set", "#owner", "<purge node='seen'/>"),
        ("set", "#owner", "<delete node='seen'/>"),
    )
]

_REQUEST: Final = "<request xmlns='urn:xmpp:http:upload:0' filename='f' size='3'/>"
HOSTED: Final[list[Row]] = [
    Row("http-upload at upload", "get", _REQUEST, UPLOAD, USERS, "forbidden"),
    Row("http-upload at upload", "set", _REQUEST, UPLOAD, NOBODY, UNAVAILABLE),
    Row("http-upload at upload", "get", _REQUEST, f"alice@{UPLOAD}", NOBODY, UNAVAILABLE),
    Row("http-upload at upload", "get", _REQUEST, f"{UPLOAD}/x", NOBODY, UNAVAILABLE),
]


def _command(node: str, may: frozenset[str], refusal: str, module: str = "invitations") -> Row:
    _, kind, payload = _of("commands", "set", _COMMANDS, attributes=f" node='{node}'")
    return Row(f"{module} command {node}", kind, payload, SERVER, may, refusal, "forbidden")


COMMANDS: Final[list[Row]] = [
    _command("urn:xmpp:invite#invite", USERS, "forbidden"),
    _command("urn:xmpp:invite#create-account", frozenset(("admin",)), "item-not-found"),
    *(
        _command(handler.node, frozenset(("admin",)), "item-not-found", module.name)
        for module in discover()
        if module.name == "administration"  # all of it is for administrators
        for handler in module.handlers
        if isinstance(handler, Command)
    ),
]

OTHERS: Final = {
    "csi nonza {urn:xmpp:csi:0}active": "test_what_is_no_stanza_needs_a_session",
    "csi nonza {urn:xmpp:csi:0}inactive": "test_what_is_no_stanza_needs_a_session",
    "carbons bind {urn:xmpp:carbons:2}enable": "test_binding_needs_a_login",
    "registration before login set {urn:xmpp:pars:0}preauth": "test_before_login_a_token_is_needed",
    "registration before login get {jabber:iq:register}query": "test_before_login_a_token_is_needed",
    "registration before login set {jabber:iq:register}query": "test_before_login_a_token_is_needed",
    "host-meta GET /.well-known/host-meta": "test_pages_for_everybody_tell_nothing_of_accounts",
    "host-meta-2 GET /.well-known/host-meta.json": "test_pages_for_everybody_tell_nothing_of_accounts",
    "invitations GET /invite/*": "test_the_page_of_an_invitation_needs_its_token",
    "invitations POST /invite/*": "test_the_page_of_an_invitation_needs_its_token",
    "recovery GET /recover": "test_the_page_for_recovery_needs_the_code",
    "recovery POST /recover": "test_the_page_for_recovery_needs_the_code",
    "muc at conference": "test_who_may_not",  # in test_rooms.py
    "preauth request": "test_a_request_with_anything_but_a_good_token_waits",
}
"""Those with tests of their own."""

HANDLERS: Final = [*IQ, *PUBSUB, *HOSTED, *COMMANDS]
