"""Files of the client: sent within the link or over HTTP (XEP-0363), and fetched, when somebody asks for it.

What goes over HTTP leaves the link: a watcher sees that something is stored or fetched, when, and its size class
(docs/threat-model.md). So nothing is fetched by itself, and a fetch waits for a random time first.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol
from xml.etree.ElementTree import Element

import aiohttp

from quietwire.client import files
from quietwire.client.errors import RequestError
from quietwire.client.files import FileError, Shared
from quietwire.core import ns
from quietwire.core.xml import build

UPLOAD: Final = "urn:xmpp:http:upload:0"
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
OCTETS: Final = "application/octet-stream"
FETCH_SECONDS: Final = 30.0
"""A fetch waits for a random time up to this, so that its time says little of when its message was read."""
HTTP_SECONDS: Final = 600.0
SERVICES: Final = 20
"""Of a server's, looked at for one that takes files."""
ALLOWED: Final = frozenset(("authorization", "cookie", "expires"))
"""Headers that a server may ask for with an upload (XEP-0363 §5)."""


class Request(Protocol):
    """An iq and its answer (`Adapter.request`)."""

    def __call__(self, type: str, payload: Element, to: str | None = None) -> Awaitable[Element]: ...


class Sharing:
    """Of one account. `request` asks its server; `context` is for HTTPS."""

    def __init__(self, domain: str, request: Request, context: Callable[[], ssl.SSLContext]) -> None:
        self._domain = domain
        self._request = request
        self._context = context
        self._service = ""

    async def offer(self, path: Path, media: str, *, within: bool, leave: bool) -> Shared:
        """What to say of the file at `path`. `within`: a small one is said itself; `leave`: others may be uploaded.

        Raises FileError, RequestError.
        """
        try:
            size, digest, content = await asyncio.to_thread(_look, path, within)
            known = {"name": files.safe_name(path.name), "media": media, "digest": digest}
            if content:
                return Shared(size=size, content=content, **known)
            if not leave:
                raise FileError(f"a file of more than {files.SMALL} bytes leaves the steady link: that has to be said")
            key, iv = secrets.token_bytes(files.KEY_BYTES), secrets.token_bytes(files.IV_BYTES)
            url = await self._upload(path, size, key, iv)
        except OSError as error:
            raise FileError(f"the file cannot be read: {error.strerror or type(error).__name__}") from None
        coded = {"key": base64.b64encode(key).decode(), "iv": base64.b64encode(iv).decode()}
        return Shared(size=size, url=url, **known, **coded)

    async def _upload(self, path: Path, size: int, key: bytes, iv: bytes) -> str:
        """-> where it can be fetched."""
        total = files.uploaded_size(size)
        # A name of one length that says nothing: it is part of the requests' paths.
        asked = {"filename": secrets.token_hex(8), "size": str(total), "content-type": OCTETS}
        answer = await self._request("get", build(f"{{{UPLOAD}}}request", asked), await self._where())
        put, get = (answer.find(f"{{{UPLOAD}}}slot/{{{UPLOAD}}}{name}") for name in ("put", "get"))
        if put is None or get is None:
            raise RequestError("undefined-condition")
        headers = {"Content-Type": OCTETS, "Content-Length": str(total)}
        for header in put.findall(f"{{{UPLOAD}}}header"):
            name, value = header.get("name", ""), header.text or ""
            if name.lower() in ALLOWED and value.isprintable():
                headers[name] = value
        encrypted = files.encrypt(_pieces(path), size, key, iv)
        async with self._http() as http:
            try:
                async with http.put(_https(put.get("url", "")), data=_body(encrypted), headers=headers) as stored:
                    if stored.status not in (200, 201):
                        raise FileError(f"the server did not take the file: {stored.status}")
            except (aiohttp.ClientError, TimeoutError) as error:
                raise FileError(f"the server did not take the file: {type(error).__name__}") from None
        return _https(get.get("url", ""))

    async def _where(self) -> str:
        """The service that takes files."""
        if self._service:
            return self._service
        found = await self._request("get", build(f"{{{DISCO_ITEMS}}}query"), self._domain)
        for item in found.findall(f"{{{DISCO_ITEMS}}}query/{{{DISCO_ITEMS}}}item")[:SERVICES]:
            jid = item.get("jid", "")
            with suppress(RequestError):
                info = await self._request("get", build(f"{{{ns.DISCO_INFO}}}query"), jid)
                features = info.findall(f"{{{ns.DISCO_INFO}}}query/{{{ns.DISCO_INFO}}}feature")
                if any(feature.get("var") == UPLOAD for feature in features):
                    self._service = jid
                    return jid
        raise FileError("the server takes no files")

    async def fetch(self, shared: Shared, folder: Path, *, delay: float = FETCH_SECONDS) -> Path:
        """Puts the file into `folder`, under its name or one like it, and nothing where it is not what was offered.

        `delay`: seconds; it waits for a random part of them first. Raises FileError.
        """
        partial = folder / f".{secrets.token_hex(8)}.part"
        try:
            with partial.open("xb") as file:
                if shared.url:
                    await asyncio.sleep(secrets.SystemRandom().uniform(0.0, delay))
                    await self._download(shared, file.write)
                else:
                    content = base64.b64decode(shared.content)
                    if files.digest_of([content]) != shared.digest:
                        raise FileError("what was said is not what was offered")
                    file.write(content)
            return _place(partial, folder, shared.name)
        except OSError as error:
            raise FileError(f"the file cannot be written: {error.strerror or type(error).__name__}") from None
        finally:
            partial.unlink(missing_ok=True)

    async def _download(self, shared: Shared, write: Callable[[bytes], object]) -> None:
        # Others' clients do not pad: all that is known is the least and the most that it can be.
        most = files.uploaded_size(shared.size)
        opener, got = files.Opener(shared, write), 0
        async with self._http() as http:
            try:
                async with http.get(_https(shared.url), headers={"Accept-Encoding": "gzip"}) as answer:
                    if answer.status != 200:
                        raise FileError(f"it cannot be fetched: {answer.status}")
                    async for piece in answer.content.iter_chunked(files.PIECE):
                        got += len(piece)
                        if got > most:
                            raise FileError("what lies there is not what was offered")
                        opener.add(piece)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise FileError(f"it cannot be fetched: {type(error).__name__}") from None
        opener.finish()

    def _http(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context(), force_close=True),
            timeout=aiohttp.ClientTimeout(total=HTTP_SECONDS),
            skip_auto_headers=("User-Agent",),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


def _https(url: str) -> str:
    if not url.startswith("https://"):
        raise FileError("it lies where nothing is encrypted")
    return url


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(files.PIECE):
            yield piece


def _look(path: Path, within: bool) -> tuple[int, str, str]:
    """Size, digest, and, if it is to be said itself, the content in base64. Raises FileError, OSError."""
    size = path.stat().st_size
    if not path.is_file() or not 0 < size <= files.LARGEST:
        raise FileError(f"only files of 1 to {files.LARGEST} bytes can be sent")
    if not within or size > files.SMALL:
        return size, files.digest_of(_pieces(path)), ""
    content = path.read_bytes()
    return len(content), files.digest_of([content]), base64.b64encode(content).decode()


async def _body(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """In pieces whose lengths do not tell where the filling begins: each ends a TLS record."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= files.PIECE:
            yield bytes(waiting[: files.PIECE])
            del waiting[: files.PIECE]
    yield bytes(waiting)


def _place(partial: Path, folder: Path, name: str) -> Path:
    """Links it under a name that nobody has yet. Raises OSError."""
    stem, dot, suffix = name.rpartition(".")
    for number in range(1000):
        more = f"-{number}" if number else ""
        path = folder / (f"{stem}{more}.{suffix}" if dot and stem else f"{name}{more}")
        try:
            os.link(partial, path)
        except FileExistsError:
            continue
        return path
    raise FileError("there are too many files of that name")
