"""One client of the scripted week: whatever it is told to send over direct TLS, and the answers as trees.

It says everything that a client can set, so it builds its stanzas from text; what servers ask of it (roster pushes,
pings, disco#info) it answers. Only as fast as a person needs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from wire import SASL, SM, Keys, header, scram_final, scram_first

PATIENCE = 60.0
"""Seconds for one answer."""
CLIENT, STREAM = "{jabber:client}", "{http://etherx.jabber.org/streams}"
SASL2, BIND2 = "urn:xmpp:sasl:2", "urn:xmpp:bind:0"
_SASL = "{urn:ietf:params:xml:ns:xmpp-sasl}"


class WeekError(Exception):
    """A server refused, hung up or fell silent. The text says who and what."""


@dataclass(frozen=True)
class Agent:
    """What a client says of itself: with SASL2 (XEP-0388), and as its capabilities (XEP-0115)."""

    id: str
    software: str
    device: str
    caps: str
    features: tuple[str, ...]


def unverified_tls() -> ssl.SSLContext:
    """TLS that believes any certificate: the servers are on loopback, and what counts is what they keep."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """`user@host/resource`. `heard(stanza)` is told every message and presence."""

    def __init__(self, user: str, host: str, password: str, resource: str, agent: Agent) -> None:
        self.user, self.host, self.resource, self.agent = user, host, resource, agent
        self.bare, self.jid = f"{user}@{host}", f"{user}@{host}/{resource}"
        self.heard: Callable[[ET.Element], None] = lambda stanza: None
        self._keys = Keys(password.encode())
        self._parser: ET.XMLPullParser
        self._depth = 0
        self._arrived: asyncio.Queue[ET.Element | None]
        self._asked: dict[str, asyncio.Future[ET.Element]] = {}
        self._handled = 0
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    # -- the stream -------------------------------------------------------------------------------------------------

    async def login(self, port: int, tls: ssl.SSLContext) -> None:
        """Connects, signs in and binds. Raises WeekError, OSError."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname=self.host
        )
        self._arrived, self._handled, self._asked = asyncio.Queue(), 0, {}
        self._open()
        self._tasks = [asyncio.create_task(self._read())]
        features = await self._next()
        if features.find(f"{{{SASL2}}}authentication") is not None:
            await self._sign_in2()
        else:
            await self._sign_in()
            self._open()
            await self._next()
            self._tasks.append(asyncio.create_task(self._dispatch()))
            name = quoteattr(self.resource)[1:-1]
            bound = await self.ask(
                "set", f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{name}</resource></bind>"
            )
            self._bound(next(bound.iter("{urn:ietf:params:xml:ns:xmpp-bind}jid")))
            self.send(f"<enable xmlns='{SM.decode()}'/>")
        await self.ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")

    def _bound(self, jid: ET.Element) -> None:
        self.jid = jid.text or ""

    def _open(self) -> None:
        self._parser, self._depth = ET.XMLPullParser(("start", "end")), 0
        self._writer.write(header(self.host.encode()))

    async def _sign_in(self) -> None:
        first = scram_first(self.user, base64.b64encode(os.urandom(12)).decode())
        said = base64.b64encode(b"n,," + first).decode()
        self.send(f"<auth xmlns='{SASL.decode()}' mechanism='SCRAM-SHA-1'>{said}</auth>")
        challenge = await self._told("challenge")
        final, _ = scram_final(self._keys, first, challenge)
        self.send(f"<response xmlns='{SASL.decode()}'>{base64.b64encode(final).decode()}</response>")
        await self._told("success")

    async def _sign_in2(self) -> None:
        agent = self.agent
        first = scram_first(self.user, base64.b64encode(os.urandom(12)).decode())
        said = base64.b64encode(b"n,," + first).decode()
        self.send(
            f"<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-1'><initial-response>{said}</initial-response>"
            f"<user-agent id='{agent.id}'><software>{agent.software}</software><device>{agent.device}</device>"
            f"</user-agent><bind xmlns='{BIND2}'><tag>{self.resource}</tag><enable xmlns='{SM.decode()}'/></bind>"
            "</authenticate>"
        )
        challenge = await self._told("challenge")
        final, _ = scram_final(self._keys, first, challenge)
        self.send(f"<response xmlns='{SASL2}'>{base64.b64encode(final).decode()}</response>")
        success = await self._next()
        jid = success.find(f"{{{SASL2}}}authorization-identifier")
        if jid is None:
            raise WeekError(f"{self.user}: {ET.tostring(success)[:300]!r}")
        self._bound(jid)
        self._tasks.append(asyncio.create_task(self._dispatch()))

    async def _told(self, tag: str) -> bytes:
        answer = await self._next()
        if answer.tag.rpartition("}")[2] != tag:
            raise WeekError(f"{self.user}: login: {ET.tostring(answer)[:300]!r}")
        return base64.b64decode(answer.text or "")

    async def _next(self) -> ET.Element:
        try:
            found = await asyncio.wait_for(self._arrived.get(), PATIENCE)
        except TimeoutError:
            raise WeekError(f"{self.user}: no answer within {PATIENCE:.0f} s") from None
        if found is None:
            raise WeekError(f"{self.user}: the connection was closed")
        return found

    async def _read(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await self._reader.read(65_536):
                self._parser.feed(data)
                for event, element in self._parser.read_events():
                    self._depth += 1 if event == "start" else -1
                    if event == "end" and self._depth == 1:
                        self._arrived.put_nowait(element)
        self._arrived.put_nowait(None)

    async def _dispatch(self) -> None:
        why = ""
        while (stanza := await self._arrived.get()) is not None:
            kind = stanza.tag.removeprefix(CLIENT)
            if stanza.tag == f"{{{SM.decode()}}}r":
                self.send(f"<a xmlns='{SM.decode()}' h='{self._handled}'/>")
            elif stanza.tag == f"{{{SM.decode()}}}enabled":
                self._handled = 0
            elif kind in ("message", "presence", "iq"):
                self._handled += 1
                if kind == "iq":
                    self._iq(stanza)
                else:
                    self.heard(stanza)
            elif stanza.tag == f"{STREAM}error":
                why = f": {ET.tostring(stanza)[:300]!r}"
        for future in self._asked.values():
            if not future.done():
                future.set_exception(WeekError(f"{self.user}: the connection was closed{why}"))

    def _iq(self, stanza: ET.Element) -> None:
        number, kind, sender = stanza.get("id", ""), stanza.get("type"), stanza.get("from")
        if kind in ("result", "error"):
            future = self._asked.pop(number, None)
            if future is not None and not future.done():
                future.set_result(stanza)
            return
        payload = stanza[0] if len(stanza) else None
        to = f" to={quoteattr(sender)}" if sender else ""
        answer = ""
        if payload is not None and payload.tag.endswith("disco#info}query"):
            node = payload.get("node")
            features = "".join(f"<feature var={quoteattr(name)}/>" for name in self.agent.features)
            answer = (
                f"<query xmlns='http://jabber.org/protocol/disco#info'{f' node={quoteattr(node)}' if node else ''}>"
                f"<identity category='client' type='pc' name={quoteattr(self.agent.software)}/>{features}</query>"
            )
        self.send(f"<iq type='result' id={quoteattr(number)}{to}>{answer}</iq>")

    # -- what a person does -------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        self._writer.write(text.encode())

    async def ask(self, kind: str, payload: str, to: str = "", *, refusable: bool = False) -> ET.Element:
        """The answer. Raises WeekError for an error, unless `refusable`."""
        self._number += 1
        name = f"n{self._number}"
        future = self._asked[name] = asyncio.get_running_loop().create_future()
        self.send(f"<iq type='{kind}' id='{name}'{f' to={quoteattr(to)}' if to else ''}>{payload}</iq>")
        try:
            answer = await asyncio.wait_for(future, PATIENCE)
        except TimeoutError:
            raise WeekError(f"{self.user}: no answer to {payload[:200]!r}") from None
        if answer.get("type") == "error" and not refusable:
            raise WeekError(f"{self.user}: {payload[:200]!r}: {ET.tostring(answer)[-300:]!r}")
        return answer

    async def insist(self, payload: str) -> None:
        """Sets it; again where the server was busy: ejabberd refuses those who make nodes at the same time."""
        for again in range(1, 21):
            answer = await self.ask("set", payload, refusable=again < 20)
            if answer.get("type") != "error":
                return
            await asyncio.sleep(0.05 * again * random.random())

    async def settle(self) -> None:
        """Until the server has taken everything that was sent, and has sent what it had."""
        await self.ask("get", "<ping xmlns='urn:xmpp:ping'/>", self.host, refusable=True)

    async def leave(self, status: str = "") -> None:
        """Logs out properly."""
        if status:
            self.send(f"<presence type='unavailable'><status>{status}</status></presence>")
        await self.settle()
        self.send("</stream:stream>")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._tasks[0]), 3)
        for task in self._tasks:
            task.cancel()
        self._writer.close()
