"""Uploads and downloads (XEP-0363 §7): files pass through in pieces, and are encrypted on the disk (`seal/uploads.py`).

Where links are shaped, answers are padded as well: heads to one length, files to their size class, for whoever accepts
gzip (`coding.py`; docs/protocols/uploads.md).

What is served is what somebody else chose: only pictures, sound and film are shown in place, and nothing may run.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from quietwire.core.later import Ticket
from quietwire.net.coding import Coder, accepts_gzip, least
from quietwire.net.files import DiskFiles, write_all
from quietwire.net.http import PADDING, expect, plain
from quietwire.seal.uploads import (
    CHUNK_BYTES,
    SALT_BYTES,
    TAG_BYTES,
    Damaged,
    Head,
    Reader,
    Writer,
    chunks_of,
    name_of,
    size_class,
)
from quietwire.server.uploads import Slot, Uploads

UPLOADS = 32
DOWNLOADS = 64
"""At once; together they and their files fit into the descriptors that connections leave (`doors.RESERVED`)."""
BATCH_BYTES = 4 * CHUNK_BYTES
"""Written at once: a thread is asked once for several chunks."""
IDLE_SECONDS = 30.0
"""For the next piece, either way."""
SLOWEST = 4096
"""Bytes a second: who is slower than this, a minute not counted, only keeps others from their turn."""
STORE_SECONDS = 10.0
"""For the row of a file to be durable; usually it has been for long."""
RETRY_AFTER = {"Retry-After": "5"}
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))

SHOWN = frozenset((
    "image/avif", "image/gif", "image/heic", "image/jpeg", "image/jxl", "image/png", "image/webp",
    "video/mp4", "video/mpeg", "video/ogg", "video/quicktime", "video/webm",
    "audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/opus", "audio/wav", "audio/webm",
    "audio/x-m4a",
))  # fmt: skip
"""Types that browsers may show in place; all others are octets to be saved. Not SVG: it has scripts."""
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'; sandbox",
}
"""Web clients on other domains upload and fetch; no credentials are taken along, for there are none."""
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Range, Authorization",
    "Access-Control-Max-Age": "7200",
}


@dataclass(slots=True)
class Span:
    """What is asked for of a content: from `first` up to `stop`."""

    first: int
    stop: int
    partial: bool


class UploadDoor:
    """Serves `PATH/TOKEN/NAME` (`http.Mount`); the name is of no account. `note` is the log: no names, no addresses."""

    def __init__(
        self,
        uploads: Uploads,
        files: DiskFiles,
        *,
        clock: Callable[[], float],
        randomness: Callable[[int], bytes],
        note: Callable[..., None],
        padded: bool = False,
    ) -> None:
        """`padded`: answers show neither lengths nor types, as far as HTTP lets them."""
        self._uploads = uploads
        self._padded = padded
        self._files = files
        self._clock = clock
        self._randomness = randomness
        self._note = note
        self._busy = {"up": 0, "down": 0}

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._serve(request)
        if not answer.prepared:
            answer.headers.update({key: value for key, value in HEADERS.items() if key not in answer.headers})
            if self._padded:
                answer.headers[PADDING] = ""
        return answer

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return plain(204, {"Allow": "GET, HEAD, PUT, OPTIONS", **PREFLIGHT})
        if request.method not in ("GET", "HEAD", "PUT"):
            return plain(405, {"Allow": "GET, HEAD, PUT, OPTIONS"}, close=True)
        parts = request.path.split("/")
        uploading = request.method == "PUT"
        if len(parts) < 4 or _TOKEN.fullmatch(parts[2]) is None:
            return plain(403 if uploading else 404, close=uploading)
        token = base64.urlsafe_b64decode(parts[2])
        try:
            with self._one_more("up" if uploading else "down", UPLOADS if uploading else DOWNLOADS):
                return await (self._put(request, token) if uploading else self._get(request, token))
        except BlockingIOError:
            return plain(503, RETRY_AFTER, close=uploading)

    @contextlib.contextmanager
    def _one_more(self, kind: str, most: int) -> Iterator[None]:
        """Raises BlockingIOError for too many at once."""
        if self._busy[kind] >= most:
            raise BlockingIOError
        self._busy[kind] += 1
        try:
            yield
        finally:
            self._busy[kind] -= 1

    # -- uploads ------------------------------------------------------------------------------------------------------

    async def _put(self, request: web.BaseRequest, token: bytes) -> web.StreamResponse:
        name = name_of(token)
        slot = self._uploads.take(name, self._clock())
        if slot is None:
            return plain(403, close=True)  # never promised, too late, or there already
        done = False
        try:
            refusal = _unlike(request, slot)
            if refusal is not None:
                return refusal
            await self._receive(request, token, name, slot)
            await _durable(slot.stored)
            done = self._uploads.finish(name)
            if done:
                return plain(201)
            await self._files.run(self._files.unlink, [name])
            return plain(403)
        except TimeoutError:
            return plain(408, close=True)
        except (ConnectionError, web.RequestPayloadError):
            return plain(400, close=True)
        except OSError as error:
            full = error.errno in _FULL
            self._note("upload-disk-full" if full else "upload-refused-by-disk")
            return plain(507 if full else 500, close=True)
        finally:
            if not done:
                self._uploads.give_back(name)

    async def _receive(self, request: web.BaseRequest, token: bytes, name: bytes, slot: Slot) -> None:
        """Raises TimeoutError, ConnectionError where the body ends too early, OSError."""
        files, run = self._files, self._files.run
        writer = Writer(token, self._randomness(SALT_BYTES), Head(slot.size, slot.expires, slot.type))
        descriptor = -1
        whole = False
        try:
            descriptor = await files.descriptor(files.create, name, size_class(slot.size))
            await expect(request)
            waiting = bytearray(writer.start)
            left = slot.size
            async with asyncio.timeout(_patience(slot.size)):
                while left:
                    async with asyncio.timeout(IDLE_SECONDS):
                        piece = await request.content.readany()
                    if not piece:
                        raise ConnectionError("the body ended early")
                    left -= len(piece)
                    waiting += writer.write(piece)
                    if len(waiting) >= BATCH_BYTES:
                        await run(write_all, descriptor, bytes(waiting))
                        waiting.clear()
                for chunk in writer.finish():
                    waiting += chunk
                    if len(waiting) >= BATCH_BYTES:
                        await run(write_all, descriptor, bytes(waiting))
                        waiting.clear()
                await run(write_all, descriptor, bytes(waiting))
                await run(files.complete, name, descriptor, self._clock())
            whole = True
        finally:
            if descriptor >= 0:
                await run(os.close, descriptor)
            if not whole:
                await run(files.discard, name)

    # -- downloads ----------------------------------------------------------------------------------------------------

    async def _get(self, request: web.BaseRequest, token: bytes) -> web.StreamResponse:
        try:
            descriptor = await self._files.descriptor(self._files.open, name_of(token))
        except FileNotFoundError:
            return plain(404)
        except OSError:
            self._note("upload-refused-by-disk")
            return plain(500)
        try:
            return await self._send(request, token, descriptor)
        except Damaged:
            self._note("upload-damaged")
            if request.transport is not None:
                request.transport.abort()
            return plain(500, close=True)
        finally:
            os.close(descriptor)

    async def _send(self, request: web.BaseRequest, token: bytes, descriptor: int) -> web.StreamResponse:
        """Raises Damaged."""
        start = await self._files.run(os.pread, descriptor, SALT_BYTES, 0)
        reader = Reader(token, start)
        head = reader.head(await self._chunk(descriptor, 0))
        if head.expires <= self._clock():
            return plain(404)
        coded = self._padded and accepts_gzip(request.headers.get("Accept-Encoding", ""))
        # A part would show its length: a server may answer with the whole (RFC 9110 §14.2).
        span = Span(0, head.size, False) if coded else _span(request, head.size)
        if span is None:
            return plain(416, {"Content-Range": f"bytes */{head.size}"})
        answer = web.StreamResponse(status=206 if span.partial else 200, headers=HEADERS)
        shown = head.type in SHOWN
        answer.headers["Content-Type"] = head.type if shown else "application/octet-stream"
        answer.headers["Content-Disposition"] = "inline" if shown else "attachment"
        if self._padded:
            answer.headers[PADDING] = ""
            answer.headers["Vary"] = "Accept-Encoding"
        if coded:
            return await self._send_coded(request, answer, reader, descriptor, head.size)
        answer.headers["Accept-Ranges"] = "bytes"
        if span.partial:
            answer.headers["Content-Range"] = f"bytes {span.first}-{span.stop - 1}/{head.size}"
        answer.content_length = span.stop - span.first
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        async with asyncio.timeout(_patience(span.stop - span.first)):
            for number in chunks_of(span.first, span.stop):
                piece = reader.content(number, await self._chunk(descriptor, number), span.first, span.stop)
                async with asyncio.timeout(IDLE_SECONDS):
                    await answer.write(piece)
            await answer.write_eof()
        return answer

    async def _send_coded(
        self, request: web.BaseRequest, answer: web.StreamResponse, reader: Reader, descriptor: int, size: int
    ) -> web.StreamResponse:
        """All of it, coded, in pieces whose lengths depend on the class alone. Raises Damaged."""
        total = size_class(least(size))
        coder = Coder(size, total)
        answer.headers["Content-Encoding"] = "gzip"
        answer.content_length = total
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        waiting = bytearray(coder.begin())
        async with asyncio.timeout(_patience(total)):
            number = -1
            for number in chunks_of(0, size):
                waiting += coder.add(reader.content(number, await self._chunk(descriptor, number), 0, size))
                await _write_whole(answer, waiting)
            for filling in coder.finish():
                waiting += filling
                if len(waiting) > CHUNK_BYTES:  # what is there only to fill takes as long as what is asked for
                    number += 1
                    await self._chunk(descriptor, number)
                    await _write_whole(answer, waiting)
            async with asyncio.timeout(IDLE_SECONDS):
                await answer.write(bytes(waiting))
            await answer.write_eof()
        return answer

    async def _chunk(self, descriptor: int, number: int) -> bytes:
        return await self._files.run(os.pread, descriptor, CHUNK_BYTES + TAG_BYTES, Reader.where(number))


async def _write_whole(answer: web.StreamResponse, waiting: bytearray) -> None:
    """Writes CHUNK_BYTES at a time and leaves the rest: each write ends a TLS record."""
    while len(waiting) > CHUNK_BYTES:
        async with asyncio.timeout(IDLE_SECONDS):
            await answer.write(bytes(waiting[:CHUNK_BYTES]))
        del waiting[:CHUNK_BYTES]


def _patience(size: int) -> float:
    """Seconds for so many bytes, either way."""
    return 60.0 + size / SLOWEST


def _unlike(request: web.BaseRequest, slot: Slot) -> web.Response | None:
    """What is answered to an upload that is not the one that was promised (XEP-0363 §7)."""
    length = request.content_length
    if length is None:
        return plain(411, close=True)
    if length != slot.size:
        return plain(413 if length > slot.size else 400, close=True)
    if slot.type and "Content-Type" in request.headers and request.content_type.lower() != slot.type:
        return plain(415, close=True)
    return None


def _span(request: web.BaseRequest, size: int) -> Span | None:
    """One range (RFC 9110 §14.2); several at once are answered with everything. None for one that there is not."""
    whole = Span(0, size, False)
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or "If-Range" in request.headers or (not asked[1] and not asked[2]):
        return whole
    if asked[1]:
        first, stop = int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size)
        if asked[2] and int(asked[2]) < first:
            return whole
    else:
        first, stop = max(size - int(asked[2]), 0), size
    return Span(first, stop, True) if first < stop else None


async def _durable(ticket: Ticket) -> None:
    """Raises OSError if the storage does not take it."""
    settled = asyncio.Event()
    ticket.when_settled(settled.set)
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await settled.wait()
    except TimeoutError:
        raise OSError(errno.EIO, "the row is not durable") from None
