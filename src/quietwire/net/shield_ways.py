"""How a helper reaches its server: over the network, where it proves who it is, or on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from quietwire.net.dial import Dialler
from quietwire.net.resolver import Resolver
from quietwire.net.shell import Shell
from quietwire.net.shield import Failed
from quietwire.net.shield_trust import Trust
from quietwire.net.stream import Connection
from quietwire.net.tls import user_dial_context
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Failure
from quietwire.shaping.policy import Policy

CLIENT_PORT = 5222
CONNECT_SECONDS = 5.0
"""To a server on this machine."""
_WHY: Mapping[str, str] = {
    "no-such-domain": "there is no server of that name: check --server",
    "service-refused": "it says that it serves no clients",
    "dns-nonsense": "what DNS says of it cannot be used: name its host with --address",
    "no-dns": "DNS does not answer: check this machine's network",
    "refused": "nobody listens there: check --address, or try again later",
    "no-answer": "it does not answer: try again later",
    "tls-failed": "it speaks no TLS that can be trusted there: check --address and --direct-tls",
}


class Remote:
    """The user's server by its domain (RFC 6120 §3.2, XEP-0368), or where `resolver` has it overridden."""

    def __init__(self, shell: Shell, resolver: Resolver, domain: str, trust: Trust, policy: Policy) -> None:
        self._domain = domain
        self._trust = trust
        self._dialler = Dialler(shell, resolver, user_dial_context(trust), lambda kind, accept: accept, policy)

    def dial(self, accept: Callable[[Link], Stream], failed: Failed) -> Callable[[], None]:
        def why(failure: Failure) -> None:
            failed(f"{self._domain} cannot be reached: {_WHY.get(failure.state, failure.state)}")

        return self._dialler.dial("", self._domain, accept, why)

    def verdict(self, link: Link) -> str:
        return self._trust.verdict(link)

    def bindings(self) -> Mapping[str, bytes]:
        return self._trust.bindings()


class Local:
    """A server on this machine, without TLS: what is said there does not leave it."""

    def __init__(self, shell: Shell, host: str, port: int) -> None:
        self._shell = shell
        self._host = host
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()

    def dial(self, accept: Callable[[Link], Stream], failed: Failed) -> Callable[[], None]:
        task = self._shell.loop.create_task(self._dial(accept, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            task.cancel()

        return cancel

    async def _dial(self, accept: Callable[[Link], Stream], failed: Failed) -> None:
        def connection() -> Connection:
            return Connection(self._shell, accept, server_side=False, secure=True)

        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._shell.loop.create_connection(connection, self._host, self._port)
        except OSError:  # TimeoutError is one
            failed(f"the server at port {self._port} of this machine does not answer: is it running?")

    def verdict(self, link: Link) -> str:
        return ""

    def bindings(self) -> Mapping[str, bytes]:
        return {}
