"""Connections to other servers: the targets of a domain in order, each with its time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial

from quietwire.net.resolver import NotFound, Resolver, Target, Unresolved, ascii_name
from quietwire.net.shell import Shell
from quietwire.net.stream import Accept, Connection
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Failure
from quietwire.shaping.bucket import Rates

CONNECT_SECONDS = 7.0
"""For TCP and, on a direct-TLS port, the handshake: a SYN is repeated after 1 and 3 seconds."""
ATTEMPTS = 8
"""Connections tried for one dial: what is further down the list would come after the stanzas have been returned."""

_NOT_FOUND = Failure("remote-server-not-found", "no-such-domain", permanent=True)
_NO_DNS = Failure("remote-server-not-found", "no-dns")
_REFUSED = Failure("remote-server-not-found", "refused")
_SILENT = Failure("remote-server-timeout", "no-answer")
_TLS = Failure("remote-server-timeout", "tls-failed")
_UNTRUSTED = Failure("remote-server-timeout", "certificate-not-trusted", permanent=True)
_TELLING = (_UNTRUSTED, _TLS, _SILENT, _REFUSED, _NO_DNS, _NOT_FOUND)
"""Which of several failures is reported: the one that got furthest."""


class Dialler:
    """`dial` implements `s2s.Dial`.

    `context` is `tls.server_dial_context`; it and `rates`, what peers may send, may be replaced. `wrap(kind, accept)`,
    kind "s2s-out", may put a recorder between a connection and its stream; without one it returns `accept`.
    """

    def __init__(
        self,
        shell: Shell,
        resolver: Resolver,
        context: ssl.SSLContext,
        wrap: Callable[[str, Accept], Accept],
        rates: Rates = Rates(),  # noqa: B008 - frozen
    ) -> None:
        self._shell = shell
        self._resolver = resolver
        self.context = context
        self.rates = rates
        self._wrap = wrap
        self._tasks: set[asyncio.Task[None]] = set()

    def dial(
        self, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
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
        task = self._shell.loop.create_task(self._dial(domain, connected, give_up))
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        return cancel

    async def _dial(self, domain: str, accept: Accept, failed: Callable[[Failure], None]) -> None:
        failures: list[Failure] = []
        try:
            name = ascii_name(domain)
            attempts = 0
            for target in await self._resolver.targets(domain):
                try:
                    addresses = await self._resolver.addresses(target)
                except NotFound:
                    failures.append(_NOT_FOUND)
                    continue
                except Unresolved:
                    failures.append(_NO_DNS)
                    continue
                for address in addresses[: ATTEMPTS - attempts]:
                    attempts += 1
                    failure = await self._try(target, address, name, accept)
                    if failure is None:
                        return
                    failures.append(failure)
        except NotFound:
            failures.append(_NOT_FOUND)
        except Unresolved:
            failures.append(_NO_DNS)
        failed(next((failure for failure in _TELLING if failure in failures), _NOT_FOUND))

    async def _try(self, target: Target, address: str, name: str, accept: Accept) -> Failure | None:
        connection = partial(
            Connection, self._shell, accept, context=self.context, server_side=False, server_name=name, rates=self.rates
        )
        direct = self.context if target.direct else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._shell.loop.create_connection(
                    connection, address, target.port, ssl=direct, server_hostname=name if direct else None
                )
        except TimeoutError:
            return _SILENT
        except ssl.SSLCertVerificationError:
            return _UNTRUSTED
        except ssl.SSLError:
            return _TLS
        except ConnectionResetError:
            return _TLS if direct else _REFUSED
        except OSError:
            return _REFUSED
        return None


class _Nobody:
    """The stream of a connection that came when nobody wanted it any more."""

    def received(self, data: bytes) -> None: ...

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def lost(self) -> None: ...
