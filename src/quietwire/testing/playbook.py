"""A whole server in memory, and clients that are lists: what they say goes in with ``>>``, what they got is compared
with ``<<``.

    play = Playbook("a.example", accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), play.client("bob/desk")
    bob >> "<presence/>"
    bob << "<presence from='bob@a.example/desk' to='bob@a.example'/>"
    alice >> "<message to='bob@a.example' type='chat'><body>hi</body></message>"
    bob << "<message from='alice@a.example/phone' to='bob@a.example' type='chat'><body>hi</body></message>"
    alice << nothing

Nothing waits: what is written is durable and in the kernel's hands after each step, and time passes only by
`pass_time`. A fault of the server is raised where it happens. The comparison is `testing.canonical`'s.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from quietwire.core import ns
from quietwire.core.framing import Broken, Event, StreamClose, StreamOpen, StreamParser
from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import Later, drive
from quietwire.core.xml import Element
from quietwire.seal.credentials import Credentials
from quietwire.seal.keys import AccountKeys, ServerKeys
from quietwire.seal.wraps import SECRET_BYTES
from quietwire.server.accounts import ARRIVALS, CREDENTIALS, TABLE
from quietwire.server.c2s import ClientStream
from quietwire.server.module import Module
from quietwire.server.modules import discover
from quietwire.server.sealed.store import SealedStore
from quietwire.server.server import Ports, Server
from quietwire.server.settings import Settings
from quietwire.server.timers import Timers
from quietwire.store.memory import MemoryStorage
from quietwire.testing.canonical import difference, show
from quietwire.testing.links import FakeLink

PASSWORD: Final = "pass"  # noqa: S105 - of accounts that exist in a test only
KEYS: Final = ServerKeys(bytes(32), bytes(32))
_STREAM_START = re.compile(r"(?=<\?xml )")


def authenticate(name: str, along: str = "", password: str = PASSWORD) -> str:
    """``<authenticate/>`` of SASL2 with PLAIN."""
    payload = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
    inside = f"<initial-response>{payload}</initial-response>{along}"
    return f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>{inside}</authenticate>"


class Mark:
    """Not an element, but something that can be expected of a connection."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


nothing: Final = Mark("nothing")
"""Expected: nothing has come."""
closed: Final = Mark("closed")
"""Expected: the server has closed its stream and the connection."""


class Client:
    """One connection. `known` holds what wildcards were bound to; all clients of a playbook share it."""

    def __init__(self, play: Playbook, *, secure: bool = True) -> None:
        self.play = play
        self.link = FakeLink(secure=secure, bindings={"tls-server-end-point": b"certificate"})
        self.stream: ClientStream = play.server.accept(self.link)
        self.link.stream = self.stream
        self.reads = True
        """False: the client never reads, so that nothing leaves the server's outbox."""
        self._parser = StreamParser()
        self.inbox: deque[Element | Mark] = deque()

    # -- the dialogue ---------------------------------------------------------------------------------------------

    def __rshift__(self, text: str | bytes) -> Client:
        """The client writes."""
        if not self.link.gone:
            self.link.says(text)
        self.play.settle()
        return self

    def __lshift__(self, expected: str | Mark) -> Client:
        """What came next is this; raises AssertionError."""
        self.play.settle()
        if expected is nothing:
            assert not self.inbox, f"not nothing: {show(self.inbox[0])}"
            return self
        assert self.inbox, f"nothing came; expected: {expected}"
        got = self.inbox.popleft()
        if isinstance(expected, Mark) or isinstance(got, Mark):
            assert got is expected, f"expected {expected}, got {show(got)}"
        else:
            problem = difference(expected, got, self.play.known)
            assert problem is None, f"{problem}\n  got: {show(got)}"
        return self

    def take(self) -> list[Element | Mark]:
        """Everything that came and was not compared."""
        self.play.settle()
        taken = list(self.inbox)
        self.inbox.clear()
        return taken

    def cut(self) -> None:
        """The connection breaks without a word."""
        self.link.breaks()
        self.play.settle()

    # -- short cuts -----------------------------------------------------------------------------------------------

    def header(self) -> Client:
        """Opens a stream and takes in the features."""
        self >> (
            f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='{self.play.domain}' version='1.0'>"
        )
        return self << f"<stream:features xmlns:stream='{ns.STREAMS}' _='...'/>"

    def authenticate(self, name: str, password: str = PASSWORD) -> Client:
        """Opens a stream and logs in; the stream after login is open, nothing is bound."""
        self.header()
        payload = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{payload}</auth>"
        self << f"<success xmlns='{ns.SASL}'/>"
        return self.header()

    def sign_in(self, name: str, along: str = "", password: str = PASSWORD) -> Client:
        """Opens a stream and logs in by SASL2 (XEP-0388); `along`: what is asked for with it. The answer, an element
        ``success`` and then the features, is the test's to take."""
        self.header()
        return self >> authenticate(name, along, password)

    def bind(self, resource: str) -> Client:
        bind = f"<bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind>"
        self >> f"<iq type='set' id='bind'>{bind}</iq>"
        return self << f"<iq type='result' id='bind'><bind xmlns='{ns.BIND}'><jid>{{*}}</jid></bind></iq>"

    # -- for the playbook -----------------------------------------------------------------------------------------

    def drain(self) -> bool:
        """Takes what the server wrote into the inbox; whether anything happened."""
        text = self.link.take()
        for event in self._events(text):
            if isinstance(event, Broken):
                raise AssertionError(f"the server wrote what is no XMPP stream: {event.error.condition}")
            if isinstance(event, StreamClose):
                self.inbox.append(closed)
            elif not isinstance(event, StreamOpen):
                element = event.tree
                for key in ("from", "to"):  # our own stanzas keep the addresses apart
                    if key in event.attributes:
                        element.set(key, event.attributes[key])
                self.inbox.append(element)
        if self.link.tls_wanted:
            self.link.secures()
            return True
        if self.link.closed and not self.link.gone:
            self.link.breaks()
            if closed not in self.inbox:
                self.inbox.append(closed)
            return True
        if self.reads and not self.link.gone and self.link.backlog():
            self.link.flushes()
            return True
        return False

    def _events(self, text: str) -> Iterator[Event]:
        for part in _STREAM_START.split(text):
            if part.startswith("<?xml"):
                self._parser.reset()
            yield from self._parser.feed(part.encode())


class Playbook:
    """One domain with these accounts, whose password is `PASSWORD`. Settings by name, see `server.settings`."""

    def __init__(
        self,
        domain: str = "a.example",
        accounts: Iterable[str] = (),
        *,
        modules: Sequence[Module] | None = None,
        storage: MemoryStorage | None = None,
        outbox_bytes: int = 8 << 20,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        """`outbox_bytes`: when a client that does not read is given up, as the connection would do. `tables`: the
        modules' settings, by name."""
        self.domain = parse_jid(domain)
        self.now = 1_000_000_000.0
        self.skew = 0.0
        """Seconds that the wall clock was set forward; timers go by another one."""
        self.notes: list[tuple[str, Mapping[str, str]]] = []
        self.known: dict[str, str] = {}
        self.clients: list[Client] = []
        self._faults: list[BaseException] = []
        self._numbers = count(1)
        self._outbox_bytes = outbox_bytes
        self.timers = Timers(lambda: self.now)
        self.storage = storage or MemoryStorage(self.randomness)
        self.server = Server(
            Settings(self.domain, iterations=1, modules=tables or {}, **settings),
            Ports(
                storage=self.storage,
                clock=lambda: self.now + self.skew,
                timers=self.timers,
                randomness=self.randomness,
                compute=_compute,
                note=lambda event, **facts: self.notes.append((event, facts)),
                fault=self._faults.append,
                keys=KEYS,
            ),
            discover() if modules is None else modules,
        )
        for name in accounts:
            self.add(name)
        self.run(self.server.open())

    def randomness(self, size: int) -> bytes:
        """The same bytes in every run, never twice the same."""
        return hashlib.shake_256(next(self._numbers).to_bytes(8, "big")).digest(size)

    def add(self, name: str, password: str = PASSWORD) -> JID:
        """Puts the account into the store; before the server opens."""
        jid = JID.of(name, self.domain.domain)
        keys = AccountKeys(bytearray(self.randomness(SECRET_BYTES)))
        record = Credentials.create(password, jid, 1, randomness=self.randomness, secret=keys.secret).to_bytes()
        self.server.store.put(TABLE, jid.text.encode(), CREDENTIALS, record)
        self.server.store.put(TABLE, jid.text.encode(), ARRIVALS, keys.arrival_public())
        self.storage.commit()
        return jid

    def run(self, coroutine: Any) -> Any:
        """Runs a coroutine of the server, whose ports all answer at once."""
        outcome: list[tuple[Any, BaseException | None]] = []
        assert drive(coroutine, lambda value, error: outcome.append((value, error))), "a port did not answer at once"
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def connect(self, *, secure: bool = True) -> Client:
        """A connection that has said nothing yet; `secure`: TLS is up from its first byte."""
        client = Client(self, secure=secure)
        self.clients.append(client)
        return client

    def client(self, address: str, presence: str = "") -> Client:
        """A logged-in client, `name/resource`; `presence` is what it sends first, and what that brings is dropped."""
        name, _, resource = address.partition("/")
        client = self.connect().authenticate(name).bind(resource)
        if presence:
            client >> presence
            client.take()
        return client

    @contextmanager
    def unlocked(self, name: str) -> Iterator[SealedStore]:
        """The store while the account's owner is there, without a session: what is theirs can be read and written."""
        client = self.connect().authenticate(name)
        self.run(self.server.store.unlock(JID.of(name, self.domain.domain).text.encode()))
        yield self.server.store
        client.cut()
        self.clients.remove(client)

    def rows(self, name: str, table: str) -> dict[bytes, bytes]:
        """What the account keeps in that table."""
        with self.unlocked(name) as store:
            return dict(store.scan(table, JID.of(name, self.domain.domain).text.encode()).result())

    def quiet(self) -> None:
        """Drops everything that clients got and did not compare."""
        for client in self.clients:
            client.take()

    def settle(self) -> None:
        """Everything written becomes durable and leaves; repeated until nothing happens any more."""
        while True:
            self.storage.commit()
            moved = [client.drain() for client in self.clients]
            for client in self.clients:
                if not client.link.gone and client.link.backlog() > self._outbox_bytes:
                    client.stream.overflow()
                    moved.append(True)
            if self._faults:
                raise self._faults.pop(0)
            if not any(moved):
                return

    def pass_time(self, seconds: float) -> None:
        """Time passes, timer by timer."""
        until = self.now + seconds
        while (at := self.timers.next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self.timers.fire(self.now)
            self.settle()
        self.now = until

    def stop(self) -> None:
        """The server shuts down."""
        self.server.shut_down()
        self.settle()


def _compute(work: Callable[[], bytes | None]) -> Later[bytes | None]:
    return Later.of(work())
