"""Connections to other servers: the targets of a domain in order, each with its time."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from quietwire.net.resolver import NotFound, Resolver, Target, Unresolved, ascii_name
from quietwire.net.shell import Shell
from quietwire.net.stream import Accept, Connection
from quietwire.net.verify import PeerContext
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Failure
from quietwire.shaping.policy import Policy

CONNECT_SECONDS = 7.0
"""For TCP and, on a direct-TLS port, the handshake: a SYN is repeated after 1 and 3 seconds."""
ATTEMPTS = 8
"""Connections tried for one dial: what is further down the list would come after the stanzas have been returned."""

DIAL_SECONDS = 25.0
"""For everything: what comes later would find the stanzas returned."""
STAGGER_SECONDS = 0.25
"""Between two addresses of one server (RFC 8305 §5): a path of one of both IP versions is often broken."""

_NOT_FOUND = Failure("remote-server-not-found", "no-such-domain", permanent=True)
_SERVICE_REFUSED = Failure("remote-server-not-found", "service-refused", permanent=True)
_NONSENSE = Failure("remote-server-not-found", "dns-nonsense", permanent=True)
_NO_DNS = Failure("remote-server-not-found", "no-dns")
_REFUSED = Failure("remote-server-not-found", "refused")
_SILENT = Failure("remote-server-timeout", "no-answer")
_TLS = Failure("remote-server-timeout", "tls-failed")
_TELLING = (_TLS, _SILENT, _REFUSED, _NO_DNS, _NONSENSE, _SERVICE_REFUSED, _NOT_FOUND)
"""Which of several failures is reported: the one that got furthest."""


class Dialler:
    """`dial` implements `s2s.Dial`.

    `context` is `tls.server_dial_context`; it may be replaced, as may `policy`, what goes on the wire when.
    `wrap(kind, accept)`, kind "s2s-out", may put a recorder between a connection and its stream; without one it
    returns `accept`.
    """

    def __init__(
        self,
        shell: Shell,
        resolver: Resolver,
        context: PeerContext,
        wrap: Callable[[str, Accept], Accept],
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        self._shell = shell
        self._resolver = resolver
        self.context = context
        self.policy = policy
        self._wrap = wrap
        self._tasks: set[asyncio.Task[None]] = set()

    def dial(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> Callable[[], None]:
        wanted = True

        def connected(link: Link) -> Stream:
            nonlocal wanted
            if not wanted:
                link.abort()
                return _Nobody()
            wanted = False
            return wrapped(link)

        def give_up(failure: Failure) -> None:
            nonlocal wanted
            if wanted:
                wanted = False
                failed(failure)

        def cancel() -> None:
            nonlocal wanted
            wanted = False
            task.cancel()

        wrapped = self._wrap("s2s-out", accept)
        task = self._shell.loop.create_task(self._dial(ours, domain, connected, give_up))
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        return cancel

    async def _dial(self, ours: str, domain: str, accept: Accept, failed: Callable[[Failure], None]) -> None:
        failures: list[Failure] = []
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                if await self._targets(ours, domain, accept, failures):
                    return
        except TimeoutError:
            failures.append(_SILENT)
        failed(next((failure for failure in _TELLING if failure in failures), _NOT_FOUND))

    async def _targets(self, ours: str, domain: str, accept: Accept, failures: list[Failure]) -> bool:
        """Tries one after the other. Whether one of them answered."""
        try:
            name = ascii_name(domain)
            attempts = 0
            for target in await self._resolver.targets(domain):
                try:
                    addresses = await self._resolver.addresses(target)
                except NotFound as gone:
                    failures.append(_not_found(gone))
                    continue
                except Unresolved:
                    failures.append(_NO_DNS)
                    continue
                addresses = addresses[: ATTEMPTS - attempts]
                attempts += len(addresses)
                tries = [partial(self._try, ours, target, address, name, accept) for address in addresses]
                if await _race(tries, failures):
                    return True
        except NotFound as gone:
            failures.append(_not_found(gone))
        except Unresolved:
            failures.append(_NO_DNS)
        return False

    async def _try(self, ours: str, target: Target, address: str, name: str, accept: Accept) -> Failure | None:
        context = self.context.for_domain(ours)
        connection = partial(
            Connection,
            self._shell,
            accept,
            context=context,
            server_side=False,
            server_name=name,
            policy=self.policy,
        )
        direct = context if target.direct else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._shell.loop.create_connection(
                    connection, address, target.port, ssl=direct, server_hostname=name if direct else None
                )
        except TimeoutError:
            return _SILENT
        except ssl.SSLError:
            return _TLS
        except ConnectionResetError:
            return _TLS if direct else _REFUSED
        except OSError:
            return _REFUSED
        return None


async def _race(tries: Sequence[Callable[[], Coroutine[Any, Any, Failure | None]]], failures: list[Failure]) -> bool:
    """Starts one after the other, each a little after the one before or at once when that has failed (XEP-0495, RFC
    8305 §5). Whether one succeeded; the others are given up then."""
    running: set[asyncio.Task[Failure | None]] = set()
    waiting = deque(tries)
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.get_running_loop().create_task(waiting.popleft()()))
            pause = STAGGER_SECONDS if waiting else None
            done, running = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.result()
                if failure is None:
                    return True
                failures.append(failure)
    finally:
        for task in running:
            task.cancel()
    return False


def _not_found(gone: NotFound) -> Failure:
    return Failure("remote-server-not-found", gone.state, permanent=True)


class _Nobody:
    """The stream of a connection that came when nobody wanted it any more."""

    def received(self, data: bytes) -> None: ...

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def lost(self) -> None: ...
