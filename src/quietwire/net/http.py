"""The web port: routes of modules, and mounts for what streams (uploads, WebSocket). aiohttp speaks HTTP/1.1.

Nothing is written down about who asks. Every buffer has a limit: of a request there are its head and 64 KiB of a body
that nobody has read yet, of an answer what one write puts; connections are counted.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar, cast

from aiohttp import web

from quietwire.core.errors import QuietwireError
from quietwire.net.accept import Acceptor
from quietwire.net.daemon import Daemon
from quietwire.net.doors import Visitor
from quietwire.net.shell import Shell, driven
from quietwire.server.http import Request, Response

HEAD_SECONDS = 20.0
"""For the head of a request, and between two on one connection: as long as a TLS handshake may take."""
BODY_SECONDS = 20.0
"""For 64 KiB on the slowest phone network."""
ANSWER_SECONDS = 30.0
"""For a handler to answer: storage that is slower is broken."""
BODY_BYTES = 64 << 10
LINE_BYTES = 4096
"""A request's first line, and one header: tokens, not documents."""
HEADERS = 64
"""Browsers send about twenty."""
PATH_CHARACTERS = 2048
READ_BYTES = 64 << 10
CONNECTIONS = 1_024
"""At once, WebSockets of whoever has logged in not counted: about 60 KB each with TLS."""
PER_NETWORK = 128
"""Of them, from one network (`doors.network_of`): some browsers of a house, six connections each."""
GRACE_SECONDS = 1.0
"""For requests under way when the server stops."""

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise itself."""

PADDING = "X-Padding"
"""An answer that has this header, empty, gets it filled: its head, with its body where that is not streamed, is then a
multiple of HEAD_BYTES. So neither types nor statuses show in lengths."""
HEAD_BYTES = 1024
"""Our longest head has some 900."""

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
Mount = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Serves every method of its path and reads the body itself."""

_SILENT = logging.getLogger("quietwire.web")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False  # aiohttp's lines have addresses and paths in them


class Web:
    """All web ports of the server. `fault` is told of bugs in handlers. `daemon` shares its room for connections; the
    `context` for TLS may be replaced: connections that come later get the new one."""

    def __init__(self, shell: Shell, fault: Callable[[BaseException], None], daemon: Daemon | None = None) -> None:
        self._daemon = daemon or Daemon(shell)
        self.context: ssl.SSLContext | None = None
        self.fault = fault
        self._routes: dict[str, dict[str, Handler]] = {}
        self._mounts: dict[str, Mount] = {}
        self._server = _Server(self)
        self._listening: list[Acceptor] = []

    def route(self, method: str, path: str, handler: Handler) -> None:
        """`path` is matched whole, or as a prefix where it ends in ``/*``; the handler awaits `Later`s only."""
        self._routes.setdefault(path, {})[method] = handler

    def mount(self, path: str, serve: Mount) -> None:
        """The same for something that streams."""
        self._mounts[path] = serve

    async def listen(self, address: str, port: int, context: ssl.SSLContext | None, key: str) -> int:
        """Opens a port, without TLS where there is no context, and returns its number. Raises ConfigError."""
        if context is not None:
            self.context = context
        secure = (lambda: self.context) if context is not None else (lambda: None)
        listening = self._daemon.open(self._server.visited, address, port, secure, key)
        self._listening.append(listening)
        return listening.port

    def close(self) -> None:
        """Takes in no more connections."""
        for listening in self._listening:
            listening.close()

    async def stop(self) -> None:
        """Ends what is still under way; WebSockets have been closed by their streams before."""
        self.close()
        self._server.pre_shutdown()
        await self._server.shutdown(GRACE_SECONDS)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        path = request.path
        if len(path) > PATH_CHARACTERS or "\0" in path:
            return plain(400)
        mount = _find(self._mounts, path)
        if mount is not None:
            return await mount(request)
        methods = _find(self._routes, path)
        if methods is None:
            return plain(404)
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            offered = [*methods, *(["HEAD"] if "GET" in methods else ()), "OPTIONS"]
            status = 204 if request.method == "OPTIONS" else 405
            return plain(status, {"Allow": ", ".join(offered)})
        try:
            body = await read_body(request)
        except web.HTTPRequestEntityTooLarge:
            return plain(413, close=True)
        except TimeoutError:
            return plain(408, close=True)
        except web.RequestPayloadError:
            return plain(400, close=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(request.method, path, dict(request.query), headers, body)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await driven(handler(asked))
        except TimeoutError:
            return plain(503, close=True)
        except QuietwireError:
            return plain(503)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body. Raises HTTPRequestEntityTooLarge, TimeoutError, RequestPayloadError."""
    if request.content_length is not None and request.content_length > BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES, request.content_length)
    await expect(request)
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


async def expect(request: web.BaseRequest) -> None:
    """Tells a client that waits for it to send its body (RFC 9110 §10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def plain(status: int, headers: dict[str, str] | None = None, *, close: bool = False) -> web.Response:
    """An answer that says its status and no more."""
    text = "" if status in (204, 304) else f"{status} {HTTPStatus(status).phrase}\n"
    answer = web.Response(status=status, text=text, headers=headers)
    if close:
        answer.force_close()
    return answer


def release(request: web.BaseRequest) -> None:
    """Its connection does not count against CONNECTIONS any more: somebody has logged in on it."""
    if isinstance(request.protocol, _Protocol):
        request.protocol.uncount()


def _find(paths: dict[str, T], path: str) -> T | None:
    """The value of the whole path, or of the longest prefix; None."""
    found = paths.get(path)
    while found is None and path:
        path = path.rpartition("/")[0]
        found = paths.get(path + "/*")
    return found


class _Request(web.BaseRequest):
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.popall("Server", None)
        for name, value in SECURITY.items():
            headers.setdefault(name, value)
        if PADDING in headers:
            headers[PADDING] = "." * (-_length(self, response) % HEAD_BYTES)


def _length(request: web.BaseRequest, response: web.StreamResponse) -> int:
    """Bytes of an answer as they are, without the body of one that streams."""
    body = response.body if isinstance(response, web.Response) else None
    status = f"HTTP/{request.version.major}.{request.version.minor} {response.status} {response.reason}\r\n"
    fields = sum(len(f"{name}: {value}\r\n".encode()) for name, value in response.headers.items())
    shown = len(body) if isinstance(body, bytes | bytearray) and request.method != "HEAD" else 0
    return len(status) + fields + 2 + shown


class _Server(web.Server):
    """aiohttp's, with our limits."""

    def __init__(self, owner: Web) -> None:
        super().__init__(owner.serve, request_factory=self._request, handler_cancellation=True)
        self.owner = owner
        self.counted = 0
        self._networks: Counter[str | None] = Counter()
        """Of those that are counted; None, a proxy on this machine, is not in it."""

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> _Request:
        return _Request(message, payload, protocol, writer, task, self._loop, client_max_size=BODY_BYTES)

    def visited(self, visitor: Visitor) -> web.RequestHandler:
        """The protocol of a new connection."""
        visitor.known()  # nobody logs in here: connections of the web have a limit of their own
        protocol = self()
        assert isinstance(protocol, _Protocol)
        protocol.visitor = visitor
        protocol.counted = protocol.spoilt = False
        return protocol

    def enter(self, network: str | None) -> bool:
        """One more connection; False if there are too many."""
        if self.counted >= CONNECTIONS or self._networks[network] >= PER_NETWORK:
            return False
        self.counted += 1
        if network is not None:
            self._networks[network] += 1
        return True

    def leave(self, network: str | None) -> None:
        """One of those less."""
        self.counted -= 1
        self._networks[network] -= 1
        if self._networks[network] <= 0:
            del self._networks[network]

    def __call__(self) -> web.RequestHandler:
        return _Protocol(
            self,
            loop=self._loop,
            keepalive_timeout=HEAD_SECONDS,
            tcp_keepalive=False,  # the listening socket says so
            logger=_SILENT,
            access_log=None,  # type: ignore[arg-type]  # None is what its documentation says
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            max_headers=HEADERS,
            lingering_time=1.0,
            read_bufsize=READ_BYTES,
            auto_decompress=False,
        )


class _Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("counted", "spoilt", "visitor")

    counted: bool
    """It takes one of CONNECTIONS."""
    spoilt: bool
    """What came was not HTTP."""
    visitor: Visitor

    def connection_lost(self, exc: BaseException | None) -> None:
        self.visitor.gone()
        self.uncount()
        super().connection_lost(exc)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(self._manager, _Server)
        if not self._manager.enter(self.visitor.network):
            cast(asyncio.Transport, transport).abort()
            return
        self.counted = True
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """After a mistake nothing more is parsed: each piece would be one more error. An error's traceback holds the
        piece that it is about, in a cycle that only the collector would find, long after the connection is gone."""
        if self.spoilt:
            return
        super().data_received(data)
        if self._messages:
            error: BaseException | None = getattr(self._messages[-1][0], "exc", None)
            while error is not None:
                self.spoilt = True
                error.__traceback__ = None
                error = error.__context__

    def uncount(self) -> None:
        if self.counted and isinstance(self._manager, _Server):
            self._manager.leave(self.visitor.network)
        self.counted = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500 and exc is not None:
            self._fault(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way")
        return plain(status, close=True)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            self._fault(error)

    def _fault(self, error: BaseException) -> None:
        if isinstance(self._manager, _Server):
            self._manager.owner.fault(error)
