"""The stage of a real server process, TLS on loopback, and slixmpp as the client on it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import slixmpp

from quietwire.seal.authority import Authority, new_p256_key
from quietwire.testing.dialogue import ACCOUNTS, DOMAIN
from quietwire.testing.playbook import PASSWORD, Mark, closed, nothing

PATIENCE = 60.0
"""Seconds until something that must come is given up. Nothing waits for it otherwise."""
_NAME = re.compile(rf"\b({'|'.join(ACCOUNTS)})@a\.example", re.IGNORECASE)
_PING = "<iq type='get' to='a.example' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>"
_BIND = "{urn:ietf:params:xml:ns:xmpp-bind}bind"
_FEATURES = "{http://etherx.jabber.org/streams}features"
_ANSWER = "{urn:xmpp:sm:3}a"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """`quietwire serve` as a process, in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        accounts: Iterable[str],
        more: str = "",
        iterations: int = 4096,
        *,
        web: bool = False,
        federation: str = "enabled = false",
        age: float = 0.0,
        start: bool = True,
    ) -> None:
        """`federation`: its table; with another one than this it listens for servers. `age`: of the certificate, in
        seconds; it is good for a day."""
        authority = Authority("tests", now=time.time() - age, days=1, new_key=new_p256_key, random=os.urandom)
        issued = authority.issue([DOMAIN])
        (folder / "certificate.pem").write_bytes(issued.certificate)
        (folder / "key.pem").write_bytes(issued.key)
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(authority.certificate)
        self.port, self.starttls_port = free_port(), free_port()
        self.web_port = free_port() if web else 0
        self.s2s_port = free_port() if federation != "enabled = false" else 0
        self.config = folder / "quietwire.toml"
        self.config.write_text(
            f'domain = "{DOMAIN}"\n{more}\n[listen]\naddress = "127.0.0.1"\nc2s = {self.starttls_port}\n'
            f"c2s_tls = {self.port}\ns2s = {self.s2s_port}\ns2s_tls = 0\nhttps = {self.web_port}\n"
            f'[login]\niterations = {iterations}\n[federation]\n{federation}\n[log]\nlevel = "debug"\n'
        )
        listed = folder / "accounts"
        listed.write_text("".join(f"{name} {PASSWORD}\n" for name in accounts))
        self.command("account", "import", str(listed), "--iterations", str(iterations))
        self.log = folder / "log"
        if start:
            self.start()

    def start(self, *wrapper: str, **options: Any) -> None:
        """Returns when it listens; `wrapper` is a command that gets the server's; `options` are those of Popen."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "quietwire", "serve", "--config", str(self.config)],
                stderr=log, stdout=log, **options,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while b"event='ready'" not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def command(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "quietwire", *words, "--config", str(self.config)],
            input=stdin, capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
        return done.stdout

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def signal(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self, patience: float = PATIENCE) -> int:
        """Stops it in order; its exit status."""
        if self.process.poll() is None:
            self.signal()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Foreign(slixmpp.ClientXMPP):  # type: ignore[misc]
    """slixmpp up to the point where the dialogue begins; from then on it neither answers nor hides anything.

    `until`: "header" (TLS is up, nothing said), "login" (nothing bound) or "bound".
    """

    def __init__(self, jid: str, until: str, context: ssl.SSLContext) -> None:
        super().__init__(jid, PASSWORD, ssl_context=context)
        self.enable_direct_tls, self.enable_starttls = True, False
        self.until = until
        self.playing = False
        self.inbox: deque[Element | Mark] = deque()
        self.changed = asyncio.Event()
        self.gone = False
        self.acknowledging = False
        if until == "header":
            self.stream_header = ""
        self.add_event_handler("session_bind", lambda _: self.begin() if until == "bound" else None)

    def begin(self) -> None:
        self.playing = True
        self.changed.set()

    def connection_made(self, *arguments: Any, **more: Any) -> None:
        super().connection_made(*arguments, **more)
        if self.until == "header":
            self.begin()

    def _spawn_event(self, xml: Element) -> None:
        if not self.playing and self.until == "login" and xml.tag == _FEATURES and xml.find(_BIND) is not None:
            self.begin()
        elif self.playing:
            self.inbox.append(xml)
            self.changed.set()
        else:
            super()._spawn_event(xml)

    def connection_lost(self, exception: BaseException | None) -> None:
        super().connection_lost(exception)
        self.gone = True
        self.inbox.append(closed)
        self.changed.set()

    async def until_true(self, condition: Callable[[], bool]) -> bool:
        """False if it has not become true in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True


class LoopbackStage:
    """Implements `dialogue.Stage`. `number` tells the accounts of one dialogue from those of all others."""

    def __init__(self, served: Served, number: int) -> None:
        self.served = served
        self.suffix = str(number)
        self.loop = asyncio.new_event_loop()
        self.clients: dict[str, Foreign] = {}
        self._pings = count(1)

    def close(self) -> None:
        for client in self.clients.values():
            if client.transport is not None:
                client.transport.abort()
        self._run(asyncio.sleep(0))
        tasks = asyncio.all_tasks(self.loop)  # slixmpp leaves some
        for task in tasks:
            task.cancel()
        if tasks:
            self._run(asyncio.wait(tasks))
        self._run(self.loop.shutdown_asyncgens())
        self.loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def _ours(self, text: str) -> str:
        return _NAME.sub(lambda found: f"{found[1]}{self.suffix}@{found[0].partition('@')[2]}", text)

    def _theirs(self, text: str) -> str:
        return re.sub(rf"\b({'|'.join(ACCOUNTS)}){self.suffix}@", r"\1@", text)

    def log_in(self, name: str, account: str, resource: str) -> None:
        self._run(self._connect(name, f"{account}{self.suffix}@{DOMAIN}/{resource}", "bound"))

    def connect(self, name: str, account: str = "") -> None:
        until = "login" if account else "header"
        self._run(self._connect(name, f"{account or 'nobody'}{self.suffix}@{DOMAIN}", until))

    async def _connect(self, name: str, jid: str, until: str) -> None:
        client = self.clients[name] = Foreign(jid, until, self.served.context())
        client.connect("127.0.0.1", self.served.port)
        assert await client.until_true(lambda: client.playing), "no connection"

    def send(self, name: str, text: str) -> None:
        self._run(self._send(self.clients[name], self._ours(text)))

    def user(self, account: str) -> str:
        return account + self.suffix

    async def _send(self, client: Foreign, text: str) -> None:
        if "<enable xmlns='urn:xmpp:sm:3'" in text:
            client.acknowledging = True
        client.send_raw(text)

    def receive(self, name: str) -> Element | Mark:
        client = self.clients[name]
        if not self._run(client.until_true(lambda: bool(client.inbox))):
            return nothing
        return self._as_told(client.inbox.popleft())

    def _as_told(self, got: Element | Mark) -> Element | Mark:
        for each in got.iter() if not isinstance(got, Mark) else ():
            each.attrib.update({key: self._theirs(value) for key, value in each.attrib.items()})
            each.text = self._theirs(each.text) if each.text else each.text
        return got

    def quiet(self, name: str) -> list[Element | Mark]:
        for client in list(self.clients.values()):
            self._run(self._pass(client))
        came = [self._as_told(each) for each in self.clients[name].inbox]
        self.clients[name].inbox.clear()
        return came

    async def _pass(self, client: Foreign) -> None:
        """Returns when everything that this client said has had its effect."""
        if client.until != "bound" or client.gone:
            return
        if client.acknowledging:
            before = sum(1 for each in client.inbox if not isinstance(each, Mark) and each.tag == _ANSWER)

            def found() -> Element | None:
                answers = [each for each in client.inbox if not isinstance(each, Mark) and each.tag == _ANSWER]
                return answers[-1] if len(answers) > before else None

            client.send_raw("<r xmlns='urn:xmpp:sm:3'/>")
        else:
            id = f"barrier-{next(self._pings)}"

            def found() -> Element | None:
                return next((e for e in client.inbox if not isinstance(e, Mark) and e.get("id") == id), None)

            client.send_raw(_PING.format(id))
        assert await client.until_true(lambda: client.gone or found() is not None), "no answer to a ping"
        answer = found()
        if answer is not None:
            client.inbox.remove(answer)

    def cut(self, name: str) -> None:
        client = self.clients[name]
        client.transport.abort()
        self._run(client.until_true(lambda: client.gone))
        client.inbox.clear()

    def stop(self) -> None:
        self.served.signal()

    def wait(self, seconds: float) -> None:
        raise AssertionError("time passes in memory only")
