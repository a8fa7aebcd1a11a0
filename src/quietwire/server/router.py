"""Where stanzas go: the rules of RFC 6121 §8 and RFC 6120 §10. Everything here runs to its end at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from quietwire.core.errors import QuietwireError, StanzaError
from quietwire.core.jid import JID
from quietwire.core.later import drive
from quietwire.core.stanza import Iq, Message, Nonza, Presence, Stanza
from quietwire.core.xml import Element, namespace, serialise
from quietwire.server.account import Account, Session
from quietwire.server.accounts import Accounts
from quietwire.server.blocks import blocked
from quietwire.server.commands import Answer, Call
from quietwire.server.module import (
    AccountHook,
    BindInline,
    BoundMetadata,
    ClientHook,
    Closing,
    Command,
    Context,
    Every,
    Hosted,
    HttpRoute,
    IqGet,
    IqHandler,
    IqSet,
    Loading,
    MessageHook,
    Module,
    NodeHook,
    NonzaHook,
    Opening,
    PreauthIq,
    PresenceHook,
    PresenceStamp,
    Reload,
    RequestHook,
    SessionHook,
    Stage,
)
from quietwire.server.pipeline import Passage
from quietwire.server.roster import Roster
from quietwire.server.timers import Timer, Timers

ANSWER_SECONDS = 30.0
"""For an answer to a request of the server's own: longer than a phone needs to wake."""
ASKED_AT_MOST = 10_000
"""Requests of the server's own without an answer yet; each is about 500 bytes."""
Hooks = tuple[tuple[Callable[[Context, Passage], None], Context], ...]
"""The stages of a message in their order; those to other domains and hosted ones have no ROUTE, ours no LEAVE."""
_QUIET_TYPES = frozenset(("error", "result"))
_NORMAL = frozenset(("", "normal"))


class Router:
    """Implements `module.Services`. `remote` takes what is for other domains; None where there is no federation."""

    def __init__(
        self,
        domain: JID,
        accounts: Accounts,
        timers: Timers,
        clock: Callable[[], float],
        randomness: Callable[[int], bytes],
        faults: Callable[[BaseException], None],
    ) -> None:
        self.domain = domain
        self.accounts = accounts
        self.timers = timers
        self.clock = clock
        """Seconds since the epoch; the timers' own clock never jumps."""
        self._randomness = randomness
        self._faults = faults
        self.remote: Callable[[Stanza], None] | None = None
        self.presence_in: Callable[[Presence, JID, Account | None], None] = lambda presence, to, account: None
        self.admins: frozenset[JID] = frozenset()
        """Bare JIDs."""
        self.presence_again: Callable[[Session], None] = lambda session: None
        self._iq: dict[tuple[str, str], tuple[IqHandler, Context]] = {}
        self._local: Hooks = ()
        self._remote: Hooks = ()
        self._marks: frozenset[str] = frozenset()
        """Names of children for which there are hooks of their own."""
        self._local_marked: Hooks = ()
        self._remote_marked: Hooks = ()
        self._presence: dict[str, list[tuple[Callable[[Context, Presence], None], Context]]] = {"in": [], "out": []}
        self._session: dict[str, list[tuple[Callable[[Context], None], Context]]] = {
            event: [] for event in ("bound", "resumed", "ended", "drained")
        }
        self._loading: list[tuple[Callable[[Context], Awaitable[None]], Context]] = []
        self._opening: list[tuple[Callable[[Context], Awaitable[None]], Context]] = []
        self._closing: list[tuple[Callable[[Context], None], Context]] = []
        self._reload: dict[str, tuple[Callable[[Context, Mapping[str, Any]], None], Context]] = {}
        self.stopping = False
        """The server is closing its streams: the hosted domains end with it."""
        self.hosted: dict[str, tuple[Hosted, Context]] = {}
        """Domains below ours, by their whole name."""
        self.http: list[tuple[HttpRoute, Context]] = []
        self._nodes: dict[str, list[tuple[Callable[[Context], None], Context]]] = {}
        self._commands: list[tuple[Command, Context]] = []
        self._revoked: list[tuple[Callable[[Context, str, Sequence[Session]], None], Context]] = []
        self._requests: list[tuple[Callable[[Context, Presence], None], Context]] = []
        self._stamps: list[tuple[Callable[[Context, Presence], Presence], Context]] = []
        self._erased: list[tuple[Callable[[Context], None], Context]] = []
        self.nonzas: dict[str, tuple[NonzaHook, Context]] = {}
        self.inline: dict[str, tuple[BindInline, Context]] = {}
        self._metadata: list[tuple[BoundMetadata, Context]] = []
        self._preauth: dict[tuple[str, str], tuple[IqHandler, Context]] = {}
        self.ending: Callable[[Session, str], None] = lambda session, condition: None
        """Ends a session with that stream error."""
        self._asked: dict[str, tuple[JID, Callable[[Iq | None], None], Timer]] = {}
        self._refuses = False
        """Messages of blocked senders are answered with an error, where silence is the rule."""

    def install(
        self, modules: Sequence[Module], ports: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Takes in what the modules register. Called once."""
        wishes = settings.get("blocking", {})
        self._refuses, self.accounts.closed = bool(wishes.get("refuse", False)), not wishes.get("strangers", True)
        staged: list[tuple[int, Callable[[Context, Passage], None], Context, str]] = []
        own = Context(self.domain, None, None, None, 0.0, self, {})
        staged.append((Stage.ROUTE, self._route, own, ""))
        staged.append((Stage.LEAVE, self._leave, own, ""))
        for module in modules:
            state = module.state(settings.get(module.name, {}))
            context = Context(self.domain, None, None, state, 0.0, self, {name: ports[name] for name in module.needs})
            for handler in module.handlers:
                match handler:
                    case IqGet(tag, serve):
                        self._iq["get", tag] = serve, context
                    case IqSet(tag, serve):
                        self._iq["set", tag] = serve, context
                    case PreauthIq(kind, tag, serve):
                        self._preauth[kind, tag] = serve, context
                    case NonzaHook(tag):
                        self.nonzas[tag] = handler, context
                    case BindInline(_, tag):
                        self.inline[tag] = handler, context
                    case BoundMetadata():
                        self._metadata.append((handler, context))
                    case MessageHook(stage, hook, child, off):
                        if off is None or not off(state):
                            staged.append((stage, hook, context, child))
                    case PresenceHook(direction, presence_hook):
                        self._presence[direction].append((presence_hook, context))
                    case SessionHook(event, session_hook):
                        self._session[event].append((session_hook, context))
                    case AccountHook("erased", erased_hook):
                        self._erased.append((erased_hook, context))
                    case ClientHook(client_hook):
                        self._revoked.append((client_hook, context))
                    case NodeHook(node, node_hook):
                        self._nodes.setdefault(node, []).append((node_hook, context))
                    case Command():
                        self._commands.append((handler, context))
                    case RequestHook(request_hook):
                        self._requests.append((request_hook, context))
                    case PresenceStamp(stamp):
                        self._stamps.append((stamp, context))
                    case Loading(loading_hook):
                        self._loading.append((loading_hook, context))
                    case Reload(reload_hook):
                        self._reload[module.name] = reload_hook, context
                    case Opening(opening_hook):
                        self._opening.append((opening_hook, context))
                    case Closing(closing_hook):
                        self._closing.append((closing_hook, context))
                    case Hosted(label):
                        self.hosted[f"{label}.{self.domain.domain}"] = handler, context
                    case HttpRoute():
                        self.http.append((handler, context))
                    case Every(seconds, hook):
                        self.timers.every(seconds, self._ticker(hook, context))
                    case _:
                        pass  # the others are taken by server.py
        staged.sort(key=lambda item: item[0])
        self._marks = frozenset(child for *_, child in staged if child)
        self._local_marked = tuple((hook, context) for stage, hook, context, _ in staged if stage != Stage.LEAVE)
        self._remote_marked = tuple((hook, context) for stage, hook, context, _ in staged if stage != Stage.ROUTE)
        staged = [item for item in staged if not item[3]]
        self._local = tuple((hook, context) for stage, hook, context, _ in staged if stage != Stage.LEAVE)
        self._remote = tuple((hook, context) for stage, hook, context, _ in staged if stage != Stage.ROUTE)

    async def open(self) -> None:
        """Before the first stream."""
        for hook, base in self._opening:
            await hook(self.context(base, None, None))

    def close(self) -> None:
        """The last words of the modules; from now on nobody is told of what ends."""
        for hook, base in self._closing:
            try:
                hook(self.context(base, None, None))
            except Exception as bug:  # the streams must end all the same
                self._faults(bug)
        self.stopping = True

    async def loading(self, account: Account) -> None:
        """Before the account's first session."""
        for hook, base in self._loading:
            await hook(self.context(base, account, None))

    @property
    def reloadable(self) -> frozenset[str]:
        """The modules whose settings can change now."""
        return frozenset(self._reload)

    def reload(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """New settings for the modules that take them while the server runs."""
        for name, (hook, base) in self._reload.items():
            hook(self.context(base, None, None), settings.get(name, {}))

    def ours(self, domain: str) -> bool:
        """Whether stanzas for that domain stay here."""
        return domain == self.domain.domain or domain in self.hosted

    def _ticker(self, hook: Callable[[Context], None], base: Context) -> Callable[[], None]:
        return lambda: hook(self.context(base, None, None))

    def context(self, base: Context, account: Account | None, session: Session | None) -> Context:
        return Context(base.domain, account, session, base.state, self.clock(), self, base.ports)

    # -- services -------------------------------------------------------------------------------------------------

    def send(self, stanza: Stanza) -> None:
        if isinstance(stanza, Message):
            self.message(None, stanza)
        elif isinstance(stanza, Presence):
            self.presence(stanza)
        elif isinstance(stanza, Iq):
            self.iq(None, stanza)

    def fan_out(self, stanza: Stanza, recipients: Iterable[JID]) -> list[JID]:
        data = stanza.addressed(to=None, from_=stanza.from_).to_bytes()
        cut = len(stanza.KIND) + 1
        head, rest = data[:cut] + b" to=", data[cut:]
        loaded, domain, sender = self.accounts.loaded, self.domain.domain, stanza.from_
        absent: list[JID] = []
        for to in recipients:
            if to.domain != domain:
                self._away(stanza.addressed(to=to, from_=stanza.from_))
                continue
            account = loaded.get(to.bare)
            session = account.sessions.get(to.resource) if account is not None else None
            if account is None or session is None:
                absent.append(to)
            elif not (account.blocks and sender is not None and account.blocks.covers(sender)):
                session.outlet.put(head + to.stamp[6:] + rest, None)
        return absent

    def ask(self, iq: Iq, answered: Callable[[Iq | None], None]) -> None:
        if len(self._asked) >= ASKED_AT_MOST or iq.to is None:
            answered(None)
            return
        key = self._randomness(9).hex()
        iq = iq.addressed(to=iq.to, from_=iq.from_)
        iq.id = key
        iq.attributes = {**iq.attributes, "id": key}
        to = iq.to
        assert to is not None
        self._asked[key] = (to, answered, self.timers.after(ANSWER_SECONDS, lambda: self._answer(key, None)))
        self.iq(None, iq)

    def _answer(self, key: str, reply: Iq | None) -> None:
        _, answered, timer = self._asked.pop(key)
        timer.cancel()
        answered(reply)

    def account(self, bare: JID) -> Account | None:
        return self.accounts.loaded.get(bare)

    def exists(self, bare: JID) -> bool:
        return self.accounts.exists(bare)

    def commands(self, session: Session | None) -> Mapping[str, tuple[str, Callable[[Call], Awaitable[Answer]]]]:
        if session is None:
            return {}
        found: dict[str, tuple[str, Callable[[Call], Awaitable[Answer]]]] = {}
        for command, base in self._commands:
            context = self.context(base, session.account, session)
            if command.allowed(context):
                found[command.node] = command.name, partial(command.handler, context)
        return found

    def client_revoked(self, account: Account, id: str, sessions: Sequence[Session]) -> None:
        for hook, base in self._revoked:
            hook(self.context(base, account, None), id, sessions)

    def is_admin(self, jid: JID) -> bool:
        return jid.bare in self.admins

    async def load(self, bare: JID) -> Account | None:
        return await self.accounts.load(bare)

    def end_sessions(self, jid: JID, *, keep: JID | None = None, condition: str = "reset") -> None:
        account = self.accounts.loaded.get(jid.bare)
        for session in list(account.sessions.values()) if account is not None else ():
            if session.jid != keep and (not jid.resource or session.jid == jid):
                self.ending(session, condition)

    def spawn(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        def done(_: None, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, QuietwireError):
                self._faults(error)

        drive(run(), done)

    # -- messages -------------------------------------------------------------------------------------------------

    def message(self, session: Session | None, message: Message) -> None:
        """Routes one message; `from_` is stamped already. Errors go back to whoever sent it."""
        to = message.to
        if to is None:
            assert message.from_ is not None
            to = message.to = message.from_.bare
        if session is not None and session.account.blocks and session.account.blocks.covers(to):
            if message.type != "error":
                session.send(message.error(blocked()))
            return
        passage = Passage(message, session, to)
        plain = self._marks.isdisjoint(message.names)
        if to.domain == self.domain.domain:
            hooks = self._local if plain else self._local_marked
            passage.local = True
            account = passage.account = self.accounts.loaded.get(to.bare)
            if (
                account is not None
                and (account.blocks or account.closed)
                and message.from_ is not None
                and account.shuts(message.from_)
            ):
                if self._refuses:
                    self.bounce(message, "service-unavailable")
                    return
                # The sender's other devices and archive must not tell: from here on as if there was no such account.
                passage.account = account = None
            else:
                passage.known = account is not None or self.accounts.exists(to.bare)
            if to.resource and message.type in _NORMAL and (account is None or to.resource not in account.sessions):
                self.bounce(message, "service-unavailable")  # RFC 6121 §8.5.3.2.1
                return
        else:
            hooks = self._remote if plain else self._remote_marked
        now = self.clock()
        try:
            for hook, context in hooks:
                context.now = now
                hook(context, passage)
                if passage.dropped:
                    return
        except StanzaError as error:
            self.bounce(message, error)

    @staticmethod
    def _shut(account: Account, stanza: Stanza) -> bool:
        """The account has blocked the sender."""
        return stanza.from_ is not None and account.blocks.covers(stanza.from_)

    def bounce(self, stanza: Stanza, error: StanzaError | str) -> None:
        """Answers with an error, unless the stanza is an answer itself (RFC 6120 §8.3.1)."""
        if stanza.type not in _QUIET_TYPES and stanza.from_ is not None:
            account = self.accounts.loaded.get(stanza.from_.bare)
            session = account.sessions.get(stanza.from_.resource) if account is not None and account.closed else None
            if session is not None:
                session.send(stanza.error(error))  # it takes nothing of strangers, but is told what became of its own
            else:
                self.send(stanza.error(error))

    def recipients(self, passage: Passage) -> list[Session]:
        """The sessions that RFC 6121 §8.5 gives the message to."""
        account = passage.account
        if account is None:
            return []
        kind = passage.message.type
        resource = passage.to.resource
        if resource:
            session = account.sessions.get(resource)
            if session is not None:
                return [session]
            if kind in ("groupchat", "error", "headline"):
                return []
        elif kind in ("groupchat", "error"):
            return []
        return [
            session for session in account.sessions.values() if session.presence is not None and session.priority >= 0
        ]

    def _route(self, context: Context, passage: Passage) -> None:
        kind = passage.message.type
        if not passage.to.local:
            raise StanzaError("service-unavailable")
        targets = passage.targets = self.recipients(passage)
        if targets:
            data = passage.bytes()
            entry = passage.entry
            if entry is None and kind != "groupchat" and all(target.outlet.crowded for target in targets):
                raise StanzaError("resource-constraint")
            for target in targets:
                target.outlet.put(data, entry)
        elif kind == "groupchat":
            raise StanzaError("service-unavailable")

    def _leave(self, context: Context, passage: Passage) -> None:
        if passage.to.domain in self.hosted:
            hosted, base = self.hosted[passage.to.domain]
            hosted.message(self.context(base, None, passage.session), passage.message)
        else:
            self._away(passage.message)

    def _away(self, stanza: Stanza) -> None:
        if self.remote is None:
            self.bounce(stanza, "remote-server-not-found")
        else:
            self.remote(stanza)

    # -- presence -------------------------------------------------------------------------------------------------

    def presence(self, presence: Presence) -> None:
        """Presence of the server's making or from elsewhere; a client's own goes to `PresenceRouter.outbound`."""
        to = presence.to
        assert to is not None
        if to.domain in self.hosted:
            if self.stopping:
                return  # nobody need be told one by one that all leave
            hosted, base = self.hosted[to.domain]
            hosted.presence(self.context(base, None, None), presence)
        elif to.domain != self.domain.domain:
            if self.remote is not None:
                self.remote(presence)
        elif to.local:
            self.presence_in(presence, to, self.accounts.loaded.get(to.bare))

    def presence_hooks(self, direction: str, session: Session | None, account: Account, presence: Presence) -> None:
        for hook, base in self._presence[direction]:
            hook(self.context(base, account, session), presence)

    def request_hooks(self, account: Account, presence: Presence) -> None:
        """A request for subscription is about to be applied."""
        for hook, base in self._requests:
            hook(self.context(base, account, None), presence)

    def presence_stamps(self, session: Session, presence: Presence) -> Presence:
        """Available presence as it goes out."""
        for hook, base in self._stamps:
            presence = hook(self.context(base, session.account, session), presence)
        return presence

    def node_changed(self, bare: JID, node: str) -> None:
        """A client of the account has changed a node of personal eventing."""
        for hook, base in self._nodes.get(node, ()):
            hook(self.context(base, self.accounts.loaded.get(bare) or Account(bare, Roster()), None))

    def erased(self, bare: JID) -> None:
        """The account is gone from the store, its sessions have ended."""
        for hook, base in self._erased:
            hook(self.context(base, Account(bare, Roster()), None))

    def session_hooks(self, event: str, session: Session) -> None:
        for hook, base in self._session[event]:
            hook(self.context(base, session.account, session))

    # -- binding --------------------------------------------------------------------------------------------------

    def inline_features(self) -> tuple[str, ...]:
        """What Bind 2 switches on, the modules' share."""
        nonzas = {hook.inline for hook, _ in self.nonzas.values() if hook.inline}
        return tuple(sorted(nonzas | {hook.feature for hook, _ in self.inline.values()}))

    def switch_on(self, session: Session, wish: Element) -> Element | None:
        """One element inside ``<bind/>`` of Bind 2."""
        if wish.tag in self.inline:
            inline, base = self.inline[wish.tag]
            return inline.hook(self.context(base, session.account, session), wish)
        found = self.nonzas.get(wish.tag)
        if found is not None and found[0].inline:
            inner = b"".join(serialise(child, namespace(wish.tag)) for child in wish)
            nonza = Nonza(wish.tag, dict(wish.attrib), inner, tuple(child.tag for child in wish))
            found[0].hook(self.context(found[1], session.account, session), nonza)
        return None

    async def metadata(self, session: Session) -> list[Element]:
        """What modules tell at binding."""
        told = []
        for metadata, base in self._metadata:
            about = await metadata.make(self.context(base, session.account, session))
            if about is not None:
                told.append(about)
        return told

    def nonza(self, session: Session, nonza: Nonza) -> bool:
        """False if no module knows it."""
        found = self.nonzas.get(nonza.kind)
        if found is None:
            return False
        found[0].hook(self.context(found[1], session.account, session), nonza)
        return True

    # -- before login ---------------------------------------------------------------------------------------------

    def preauth(self, iq: Iq, memory: dict[str, Any]) -> Coroutine[Any, Any, Iq | None] | None:
        """The answer to a request of somebody who has not logged in; None if no module has one."""
        found = self._preauth.get((iq.type, iq.names[0])) if len(iq.names) == 1 else None
        if found is None:
            return None
        handler, base = found
        context = self.context(base, None, None)
        context.memory = memory

        async def run() -> Iq | None:
            return await handler(context, iq)

        return run()

    # -- iq ---------------------------------------------------------------------------------------------------------

    def iq(self, session: Session | None, iq: Iq, finished: Callable[[], None] | None = None) -> bool:
        """Routes or serves one iq. Returns False if its handler is suspended; then `finished` is called later."""
        to = iq.to
        if to is None and session is not None:
            target: JID | None = session.account.jid
        else:
            target = to
        kind = iq.type
        if session is not None and session.account.blocks and to is not None and session.account.blocks.covers(to):
            if kind not in _QUIET_TYPES:
                session.send(iq.error(blocked()))
            return True
        if target is not None and target.domain != self.domain.domain:
            if target.domain not in self.hosted:
                self._away(iq)
                return True
            hosted, base = self.hosted[target.domain]
            if kind in _QUIET_TYPES:
                asked = self._asked.get(iq.id)
                if asked is not None and iq.from_ is not None and asked[0] in (iq.from_, iq.from_.bare):
                    self._answer(iq.id, iq)
                else:
                    hosted.reply(self.context(base, None, session), iq)
                return True
            if kind not in ("get", "set") or len(iq.names) != 1 or not iq.id:
                self.bounce(iq, "bad-request")
                return True
            return self._run(session, iq, hosted.iq, base, None, finished)
        if kind in _QUIET_TYPES:
            self._reply(iq, target)
            return True
        if kind not in ("get", "set") or len(iq.names) != 1 or not iq.id:
            self.bounce(iq, "bad-request")
            return True
        if target is not None and target.resource:
            self._forward(iq, target)
            return True
        return self._serve(session, iq, target, finished)

    def _reply(self, iq: Iq, target: JID | None) -> None:
        asked = self._asked.get(iq.id)
        if asked is not None and iq.from_ is not None and (asked[0] == iq.from_ or asked[0] == iq.from_.bare):
            self._answer(iq.id, iq)
        elif target is not None and target.resource:
            account = self.accounts.loaded.get(target.bare)
            session = account.sessions.get(target.resource) if account else None
            if session is not None and not (session.account.blocks and self._shut(session.account, iq)):
                session.send(iq)

    def _forward(self, iq: Iq, target: JID) -> None:
        account = self.accounts.loaded.get(target.bare)
        session = account.sessions.get(target.resource) if account else None
        if session is None or (session.account.blocks and self._shut(session.account, iq)):
            self.bounce(iq, "service-unavailable")
        elif session.outlet.crowded:
            self.bounce(iq, "resource-constraint")
        else:
            session.send(iq)

    def _serve(self, session: Session | None, iq: Iq, target: JID | None, finished: Callable[[], None] | None) -> bool:
        found = self._iq.get((iq.type, iq.names[0]))
        if found is None:
            self.bounce(iq, "service-unavailable")
            return True
        return self._run(session, iq, *found, target, finished)

    def _run(
        self,
        session: Session | None,
        iq: Iq,
        handler: IqHandler,
        base: Context,
        target: JID | None,
        finished: Callable[[], None] | None,
    ) -> bool:
        """`target`: whom it is about, None for the server and for a hosted domain, which finds out itself."""

        async def run() -> Iq | None:
            account: Account | None = None
            if target is not None and target.local:
                account = self.accounts.loaded.get(target)
                if session is None or session.account is not account:
                    # Away, none at all, or not for the asker: the handler cannot tell, nor can the time it takes, which
                    # is why one is made for accounts that are there as well.
                    absent = Account.absent(target)
                    if account is None or (account.blocks and self._shut(account, iq)):
                        account = absent
            return await handler(self.context(base, account, session), iq)

        suspended = False

        def done(reply: Iq | None, error: BaseException | None) -> None:
            if isinstance(error, StanzaError):
                reply = iq.error(error)
            elif error is not None:
                if not isinstance(error, QuietwireError):
                    self._faults(error)
                reply = iq.error("internal-server-error")
            if reply is not None:
                self._return(session, reply)
            if suspended and finished is not None:
                finished()

        if drive(run(), done):
            return True
        suspended = True
        return False

    def _return(self, session: Session | None, reply: Iq) -> None:
        if session is not None:
            if session.account.sessions.get(session.jid.resource) is session:
                reply.to = session.jid
                session.send(reply)
        elif reply.to is not None:
            self.iq(None, reply)
