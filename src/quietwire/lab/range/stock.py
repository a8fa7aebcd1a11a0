"""One device of the bed: slixmpp as it comes, so that what is measured is a client that people have.

Not our own adapter, which changes what slixmpp sends: this is the laboratory's subject, and the one file of the
laboratory that imports slixmpp. The client's own side of a profile goes around its transport (`wrap`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.util.sasl.mechanisms import SCRAM
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from quietwire.lab.range import stanzas as say

PLUGINS = (
    "xep_0030", "xep_0115", "xep_0198", "xep_0199", "xep_0280", "xep_0352", "xep_0092", "xep_0085",
)  # fmt: skip
"""Not 0184: it answers by itself, and receipts are in the plan."""
NOTIFIED = (f"{say.AXOLOTL}.devicelist+notify", "urn:xmpp:avatar:metadata+notify", f"{say.TUNE_NODE}+notify")
PATIENCE = 45.0
"""Seconds for a login or an answer: much, because a paced link takes its time."""
SETTLED = 2.0
"""Seconds after a login in which presence and nodes that come belong to the login."""


class StockError(Exception):
    """A device could not do what it was to do. One line."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a device gives to its link: `kind` and `peer` as it was told, `id` of the stanza."""

    kind: str
    peer: int
    id: str
    size: int


def _quickly(self: Any, text: str | bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF2 as slixmpp's own loop has it (RFC 5802 §2.2), a hundred times faster: a worker has many devices."""
    return hashlib.pbkdf2_hmac(self.hash().name, text if isinstance(text, bytes) else text.encode(), salt, iterations)


setattr(SCRAM, "Hi", _quickly)  # noqa: B010

Wrap = Callable[[ClientXMPP], Callable[[], None] | None]
"""Puts a client's own shaping around what it writes, before it connects. -> what is to be called when the server has
said that it reads frames, which may come on each connection; None where it is not asked."""
FRAMES = "1"
"""The version of frames (docs/protocols/links.md)."""


class Stock:
    """One device. `on_sent(sent)` is told in the moment in which a stanza is given to the link, `on_came(stanza,
    settled)` of every message and presence, `on_link(port)` of every connection: the local port, before anything is
    sent on it. `on_lost()`: the link was lost and nobody asked for it."""

    def __init__(
        self,
        jid: str,
        password: str,
        address: tuple[str, int],
        context: ssl.SSLContext,
        *,
        on_sent: Callable[[Sent], None],
        on_came: Callable[[ET.Element, bool], None],
        on_link: Callable[[int], None],
        on_lost: Callable[[], None],
        wrap: Wrap | None = None,
        patience: float = 0.0,
    ) -> None:
        """`patience`: seconds for a login or an answer; 0: PATIENCE."""
        self._address = address
        self._on_sent, self._on_came, self._on_link, self._on_lost = on_sent, on_came, on_link, on_lost
        self._patience = patience or PATIENCE
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, Sent] = {}
        self._expected = False
        """The end of this link is no accident."""
        self._settled_at = float("inf")
        self.failure = ""
        self.online = False
        self._tasks: set[asyncio.Task[None]] = set()
        stream: Any = ClientXMPP(jid, password, ssl_context=context)
        self.stream = stream
        stream.enable_direct_tls, stream.enable_starttls = True, False
        for name in PLUGINS:
            stream.register_plugin(name)
        for feature in NOTIFIED:
            stream.plugin["xep_0030"].add_feature(feature)
        stream.plugin["feature_mechanisms"].unencrypted_plain = False
        stream.auto_authorize = stream.auto_subscribe = True
        for name in ("message", "presence"):
            matcher = MatchXPath(f"{{jabber:client}}{name}")
            stream.register_handler(Callback(f"bed {name}", matcher, self._came))
        stream.add_filter("out_sync", self._leaving)
        stream.add_event_handler("ssl_cert", self._linked)
        stream.add_event_handler("disconnected", self._disconnected)
        stream.add_event_handler("failed_all_auth", lambda _: self._note("the password was refused"))
        stream.add_event_handler("connection_failed", lambda why: self._note(f"no connection: {why}"))
        self._pack = wrap(stream) if wrap is not None else None

    def _note(self, failure: str) -> None:
        self.failure = failure

    # What happens to the link

    def _linked(self, _: object) -> None:
        sockname = self.stream.transport.get_extra_info("sockname")
        self._on_link(sockname[1])

    def _disconnected(self, _: object) -> None:
        self._settled_at = float("inf")
        self.online = False
        if not self._expected:
            self._on_lost()

    def _came(self, stanza: Any) -> None:
        self._on_came(stanza.xml, self._loop.time() > self._settled_at)

    def _leaving(self, stanza: Any) -> Any:
        """The last filter before slixmpp writes, in the same turn."""
        if isinstance(stanza, Message | Presence | Iq) and self.stream.transport is not None:
            sent = self._waiting.pop(stanza["id"], None)
            if sent is not None:
                self._on_sent(sent)
            elif isinstance(stanza, Presence) and stanza["type"] in ("subscribe", "subscribed"):
                self._on_sent(Sent("subscribe", _number(stanza["to"].user), stanza["id"], 0))
        return stanza

    # Links

    async def _reach(self, what: str, dial: Callable[[], object], *events: str) -> str:
        """Dials and waits for the first of these events: its name. Raises StockError."""
        reached: asyncio.Future[str] = self._loop.create_future()

        def handler(name: str) -> Callable[[object], None]:
            def happened(_: object) -> None:
                if not reached.done():
                    reached.set_result(name)

            return happened

        handlers = [(name, handler(name)) for name in (*events, "failed_all_auth")]
        for name, each in handlers:
            self.stream.add_event_handler(name, each)
        try:
            dial()
            async with asyncio.timeout(self._patience):
                name = await reached
        except TimeoutError:
            raise StockError(f"{what}: {self.failure or 'nothing came of it'}") from None
        finally:
            for name_, each in handlers:
                self.stream.del_event_handler(name_, each)
        if name == "failed_all_auth":
            raise StockError(f"{what}: the password was refused")
        return name

    async def login(self) -> None:
        """Connects and does what clients do when they start: copies, roster, presence, "somebody looks". Raises
        StockError."""
        self._expected, self.failure = False, ""
        await self._reach("login", lambda: self.stream.connect(*self._address), "session_start")
        self.online = True
        self._settled_at = self._loop.time() + SETTLED
        self._ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
        self._ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", self.stream.boundjid.domain)
        await self.answered("get", "<query xmlns='jabber:iq:roster'/>")
        self._offer_frames()
        self.stream.send_presence()
        self.client_state("active", None)

    async def resume(self, on_cut: Callable[[], None]) -> bool:
        """The network fails and comes back: the same session goes on, unless the server has forgotten it. False:
        it had. Raises StockError."""
        if self.stream.transport is not None:
            self._expected = True
            self._settled_at = float("inf")
            await self._reach("the cut", self.stream.transport.abort, "disconnected")
            self._expected = False
        on_cut()
        name = await self._reach(
            "resumption", lambda: self.stream.connect(*self._address), "session_resumed", "session_start"
        )
        self.online = True
        self._settled_at = self._loop.time() + SETTLED
        self._offer_frames()
        return name == "session_resumed"

    async def logout(self, sent: Sent) -> None:
        """Says goodbye and closes the stream."""
        self._expected = True
        if self.stream.transport is None:
            return
        self.stream.end_session_on_disconnect = True
        self.presence(sent, type="unavailable")
        try:
            await self._reach("logout", lambda: self.stream.disconnect(wait=self._patience / 3), "disconnected")
        except StockError:
            self.stream.abort()

    async def close(self) -> None:
        """Lets go of everything, without a word."""
        self._expected = True
        self.stream.cancel_connection_attempt()
        if self.stream.transport is not None:
            self.stream.abort()
        if self.stream._run_out_filters is not None:
            self.stream._run_out_filters.cancel()

    # Stanzas

    def message(self, sent: Sent, to: str, inside: str, type: str = "chat") -> None:
        stanza = self.stream.make_message(to, mtype=type)
        stanza["id"] = sent.id
        for element in ET.fromstring(f"<x xmlns='jabber:client'>{inside}</x>"):  # noqa: S314  our own text
            stanza.append(element)
        self._send(stanza, sent)

    def presence(self, sent: Sent, to: str = "", type: str = "", inside: str = "") -> None:
        stanza = self.stream.make_presence(pto=to or None, ptype=type or None)
        stanza["id"] = sent.id
        for element in ET.fromstring(f"<x xmlns='jabber:client'>{inside}</x>"):  # noqa: S314
            stanza.append(element)
        self._send(stanza, sent)

    def _send(self, stanza: Any, sent: Sent) -> None:
        self._waiting[sent.id] = sent
        self.stream.send(stanza)

    def client_state(self, state: str, sent: Sent | None) -> None:
        """XEP-0352; nothing on a server without it, which is then no happening either."""
        if self.stream.transport is not None and self.stream.plugin["xep_0352"].enabled:
            if sent is not None:
                self._on_sent(sent)
            self.stream.send_raw(f"<{state} xmlns='urn:xmpp:csi:0'/>")

    async def answered(self, type: str, payload: str, to: str = "", sent: Sent | None = None) -> ET.Element:
        """The answer to an iq. Raises StockError for an error and for none."""
        iq: Any = self.stream.make_iq(itype=type, ito=to or None)
        if sent is not None:
            iq["id"] = sent.id
            self._waiting[sent.id] = sent
        iq.append(ET.fromstring(payload))  # noqa: S314
        try:
            answer = await iq.send(timeout=self._patience)
        except IqTimeout:
            raise StockError(f"no answer to {payload[:60]!r}") from None
        except IqError as error:
            raise StockError(f"{payload[:60]!r} was refused: {error.condition}") from None
        found: ET.Element = answer.xml
        return found

    def _ask(self, type: str, payload: str, to: str = "") -> None:
        """For an answer that nobody looks at."""

        async def asked() -> None:
            with contextlib.suppress(StockError):
                await self.answered(type, payload, to)

        self._spawn(asked())

    def _offer_frames(self) -> None:
        """As our client does, on each connection anew."""
        pack, transport = self._pack, self.stream.transport
        if pack is None:
            return

        async def offered() -> None:
            try:
                answer = await self.answered("set", say.link("steady", FRAMES))
            except StockError:
                return  # other servers do not know of it
            link = answer.find(f"{{{say.LINKS}}}link")
            if link is not None and link.get("frames") == FRAMES and self.stream.transport is transport:
                pack()

        self._spawn(offered())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _number(local: str) -> int:
    return int(local[1:]) if local[1:].isdecimal() else -1
