"""A feature is one file in `modules/` whose last statement, `MODULE = Module(…)`, is its whole interface, as data.

The registrations below are everything a feature can ask for. Handlers of iq stanzas may be coroutines and may await
ports only (`core.later`); all other hooks are plain functions that run to their end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal, Protocol

from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Message, Nonza, Presence, Stanza
from quietwire.core.xml import Element
from quietwire.server.account import Account, Session
from quietwire.server.commands import Answer, Call
from quietwire.server.http import Request, Response
from quietwire.server.pipeline import Passage


class Stage(IntEnum):
    """The stages a message passes, in order. Two hooks in one stage must commute."""

    ADMIT = 0
    """May it pass at all: rate, blocks. Raise StanzaError, or `passage.drop()` for silence."""
    STAMP = 1
    """What the server adds to every copy."""
    KEEP = 2
    """What must survive is handed to the spool here; from now on it is not lost."""
    RECORD = 3
    """What was accepted is written into archives."""
    ROUTE = 4
    """To sessions of the recipient."""
    COPY = 5
    """To others who should see it: carbons."""
    LEAVE = 6
    """To other servers, and to hosted domains."""


class Services(Protocol):
    """What a hook may ask of the server besides its ports. Implemented by `server.router.Router`."""

    def send(self, stanza: Stanza) -> None:
        """Routes a stanza of the server's own making; `from_` and `to` are set by the caller."""
        ...

    def fan_out(self, stanza: Stanza, recipients: Iterable[JID]) -> list[JID]:
        """Sends one stanza (its `from_` is set, its `to` is not looked at) to many full JIDs, local or not; its bytes
        are built once. -> the local ones that are not there (any more)."""
        ...

    def ask(self, iq: Iq, answered: Callable[[Iq | None], None]) -> None:
        """Sends a request of the server's own (its id is chosen here); `answered` gets the reply, or None after
        30 s."""
        ...

    def account(self, bare: JID) -> Account | None:
        """The account if it is in memory."""
        ...

    def exists(self, bare: JID) -> bool:
        """Whether that local account exists. What is told to strangers must not depend on it."""
        ...

    def is_admin(self, jid: JID) -> bool:
        """Whether that account may give administrators' commands."""
        ...

    async def load(self, bare: JID) -> Account | None:
        """The account, read from the store if it is away; None if there is none. Kept only until the turn's end,
        so use it before the next await."""
        ...

    def presence_again(self, session: Session) -> None:
        """Broadcasts the session's presence once more, because a `PresenceStamp` has something new to say."""
        ...

    def end_sessions(self, jid: JID, *, keep: JID | None = None, condition: str = "reset") -> None:
        """Ends a local session (full JID) or all sessions of an account (bare JID) but `keep`, those that wait for
        resumption among them. Their streams are closed with that stream error: ``reset`` where the credentials have
        changed, ``not-authorized`` where access is withdrawn."""
        ...

    def client_revoked(self, account: Account, id: str, sessions: Sequence[Session]) -> None:
        """Tells modules that a client has lost its access, see `ClientHook`."""
        ...

    def commands(self, session: Session | None) -> Mapping[str, tuple[str, Callable[[Call], Awaitable[Answer]]]]:
        """The commands that this session may give: node -> (name for people, what carries it out)."""
        ...

    def spawn(self, work: Awaitable[None]) -> None:
        """Runs a coroutine that answers nobody, for instance a presence probe to an account that is away."""
        ...


@dataclass(slots=True)
class Context:
    """What a hook is given: these and nothing else."""

    domain: JID
    account: Account | None
    """For an iq: the local account addressed (the sender's own where there is no `to`), None for the server itself; see
    `IqGet` for whom nobody knows.
    For hooks: the account concerned."""
    session: Session | None
    """The local session that sent the stanza; None when it came from another server or from the server itself."""
    state: Any
    """What `Module.state(settings)` made; one for the life of the server."""
    now: float
    """Seconds since the epoch."""
    services: Services
    ports: Mapping[str, Any]
    """The ports that the module named in `needs`: "store", "spool", "archive" (`server.archive.Archive`),
    "randomness" (n -> n bytes), "timers", "modules"
    (all active ones), "admin" (`server.admin.Admin`: makes, changes and deletes accounts), "pep"
    (`server.publishing.Publisher`), "arrivals" (`server.sealed.arriving.Arrivals`), "invitations"
    (`server.invitations.Invitations`), "web" (URL of the web port, no slash at its end; '' where there is none),
    "uploads" (`server.uploads.Uploads`), "findings" (`server.sealed.findings.Findings`)."""
    memory: dict[str, Any] | None = None
    """For `PreauthIq`: what a module holds for the stream, under the module's name. None elsewhere."""


IqHandler = Callable[[Context, Iq], Awaitable[Iq | None]]


@dataclass(frozen=True, slots=True)
class IqGet:
    """Answers requests of type get whose payload is `tag` (Clark), addressed to the server, to the sender's own bare
    JID, or to another account's bare JID; the handler looks at `iq.to` and says service-unavailable where it does not
    apply. Return None to leave it unanswered only if you answer later yourself.

    An account that is away, one that does not exist and one that has blocked the asker are all the same to the handler:
    `Account.absent`. What it does for such a one it must do for an account in memory too, before it looks whether the
    asker may know more: no read of the store more or less."""

    tag: str
    handler: IqHandler


@dataclass(frozen=True, slots=True)
class IqSet:
    """The same for type set."""

    tag: str
    handler: IqHandler


ANEW: Final = "anew"
"""See `PreauthIq`."""


@dataclass(frozen=True, slots=True)
class PreauthIq:
    """Answers a request on a stream that has TLS and where nobody has logged in yet: registration (XEP-0077, XEP-0445).

    `context.session` and `context.account` are None, `iq.from_` is None; `context.memory` lasts as long as the
    connection does. The first result (not error) gives the connection `settings.registration_seconds` instead of
    `unauthenticated_seconds`; no connection gets more than `settings.preauth_requests` answers. Where what was done is
    limited elsewhere, the handler sets `context.memory[ANEW]`, and time, bytes and answers count anew."""

    type: Literal["get", "set"]
    tag: str
    handler: IqHandler


@dataclass(frozen=True, slots=True)
class MessageHook:
    """`child`: it is about messages with a child of that Clark name alone. `off`, given the module's state at start:
    whether the settings leave it nothing to do. Others need not pass it then."""

    stage: Stage
    hook: Callable[[Context, Passage], None]
    child: str = ""
    off: Callable[[Any], bool] | None = None


@dataclass(frozen=True, slots=True)
class PresenceHook:
    """`out`: a local session has broadcast available or unavailable presence (context.session is it).
    `in`: presence of somebody else reached context.account (its blocks let it through). If `account.away` nobody is
    there to be told, and there may be no such account."""

    direction: Literal["in", "out"]
    hook: Callable[[Context, Presence], None]


@dataclass(frozen=True, slots=True)
class SessionHook:
    """`bound`: resource binding is done. `resumed`: it has a new connection (XEP-0198 §5), nothing was sent on it yet.
    `ended`: for good, after the last chance of resumption. `drained`: its slow link takes what it has left in the
    spool."""

    event: Literal["bound", "resumed", "ended", "drained"]
    hook: Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class AccountHook:
    """`erased`: the account is being deleted with everything it left."""

    event: Literal["erased"]
    hook: Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class ClientHook:
    """A client of context.account has lost its access (XEP-0494): what it set up for itself goes with it. The hook is
    given the id it is listed under and those of its sessions that are still there, about to end."""

    hook: Callable[[Context, str, Sequence[Session]], None]


@dataclass(frozen=True, slots=True)
class NodeHook:
    """A client has changed the account's own node of personal eventing: published, retracted, purged, deleted it or
    configured it otherwise. `context.account` may be a copy that is read only; what it is now is in the book
    (port "pep", `server.publishing`)."""

    node: str
    hook: Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class RequestHook:
    """A request for subscription (a presence of type subscribe) has reached context.account, and is about to be applied
    to its roster. If `account.away` it only waits to be applied, once its owner is there: then the hook runs again."""

    hook: Callable[[Context, Presence], None]


@dataclass(frozen=True, slots=True)
class PresenceStamp:
    """Changes available presence of a local session (context.session) before it goes anywhere. `presence.to` is None
    for what all contacts get. Returns the presence itself where there is nothing to add."""

    hook: Callable[[Context, Presence], Presence]


@dataclass(frozen=True, slots=True)
class Loading:
    """Awaited before the first session of an account is bound: reads what the module must have at hand, without
    waiting, while the account is in memory, and puts it into `context.account.memory`."""

    hook: Callable[[Context], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Opening:
    """Awaited once, after all modules are installed and before the first stream."""

    hook: Callable[[Context], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Closing:
    """The server stops: called once, when everything accepted is durable and before the first stream is closed. What it
    sends to other servers goes out; users of ours see their streams end."""

    hook: Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class Hosted:
    """A domain below the server's, `label.DOMAIN`, and all that is addressed to it or to anything at it: rooms.

    Stanzas have a `from_` that is true; `context.session` is the local sender's session, where there is one, for `iq`
    and `message`. `message` may raise StanzaError, which is sent back. `iq` serves get and set like `IqGet` (None:
    answered otherwise or not at all), `reply` gets results and errors. It is listed in the server's disco#items and
    answers disco queries itself."""

    label: str
    message: Callable[[Context, Message], None]
    presence: Callable[[Context, Presence], None]
    iq: Callable[[Context, Iq], Awaitable[Iq | None]]
    reply: Callable[[Context, Iq], None] = lambda context, iq: None
    name: str = ""
    """For people, in disco#items."""


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A resource of the server's web port: `path` is matched whole, or as a prefix where it ends in `/*`.

    The handler may await ports only."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Context, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Command:
    """An ad-hoc command (XEP-0050) of the server, for accounts of this server only. `allowed` is asked at every step;
    context.session is who gives the command."""

    node: str
    name: str
    """For people."""
    handler: Callable[[Context, Call], Awaitable[Answer]]
    allowed: Callable[[Context], bool]


@dataclass(frozen=True, slots=True)
class NonzaHook:
    """A first-level child that is no stanza, on a bound stream (client state and the like)."""

    tag: str
    hook: Callable[[Context, Nonza], None]
    inline: str = ""
    """The feature under which Bind 2 takes it along with binding (XEP-0386 §3.1), '' where it does not."""


@dataclass(frozen=True, slots=True)
class BindInline:
    """What a client may switch on as its resource is bound (XEP-0386): `hook` gets the element `tag` that stood inside
    ``<bind/>``, and may answer with one for ``<bound/>``. `context.session` is new, nothing was sent to it yet."""

    feature: str
    tag: str
    hook: Callable[[Context, Element], Element | None]


@dataclass(frozen=True, slots=True)
class BoundMetadata:
    """Awaited for each session bound by Bind 2: what its ``<bound/>`` tells about the account, for instance the ends
    of its archive (XEP-0386 §3.2), or None."""

    make: Callable[[Context], Awaitable[Element | None]]


@dataclass(frozen=True, slots=True)
class StreamFeature:
    """An element of the stream features offered after authentication, or before it."""

    make: Callable[[tuple[Module, ...]], Element]
    """Is given the active modules; called once, at the start."""
    before_login: bool = False
    """Offered with TLS to somebody who has not logged in, and not afterwards."""


@dataclass(frozen=True, slots=True)
class Every:
    seconds: float
    hook: Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class Reload:
    """The module's settings can change while the server runs: the hook is given its `[modules.NAME]` table anew, as
    `Module.state` was, and brings `context.state` up to date. Without one they take effect at the next start."""

    hook: Callable[[Context, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the configuration's `[modules.NAME]` table."""

    key: str
    default: bool | int | float | str
    text: str


Handler = (
    IqGet
    | IqSet
    | PreauthIq
    | MessageHook
    | PresenceHook
    | SessionHook
    | AccountHook
    | ClientHook
    | Loading
    | NodeHook
    | PresenceStamp
    | RequestHook
    | Opening
    | Closing
    | Hosted
    | HttpRoute
    | Command
    | NonzaHook
    | BindInline
    | BoundMetadata
    | StreamFeature
    | Every
    | Reload
    | Setting
)


@dataclass(frozen=True, slots=True)
class Xep:
    number: int
    version: str


@dataclass(frozen=True, slots=True)
class Keeps:
    """One thing that a module stores."""

    what: str
    table: str
    sealed: bool
    """Whether it is unreadable while its owner is away."""
    until: str


MakeForm = Callable[["tuple[Module, ...]", Mapping[str, Any]], Element | None]


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    xep: Xep | None
    features: tuple[str, ...]
    """Announced in the server's and the account's disco#info."""
    handlers: tuple[Handler, ...]
    keeps: tuple[Keeps, ...]
    emits: str
    """What it puts on the wire, as a sentence; the lab's list of expected leaks is made from it."""
    needs: tuple[str, ...] = ()
    state: Callable[[Mapping[str, Any]], Any] = field(default=lambda settings: None)
    account_features: tuple[str, ...] = ()
    """Announced in disco#info of an account's bare JID only."""
    form: MakeForm = field(default=lambda modules, settings: None)
    """Makes a data form for the server's disco#info (XEP-0128), from the active modules and this one's settings."""
    forms: tuple[Element, ...] = ()
    """What `form` made; filled in at the start (`disco.with_forms`)."""
    identities: tuple[tuple[str, str, str], ...] = ()
    """(category, type, name) that disco#info of the account's bare JID adds, for instance ("pubsub", "pep", "")."""
