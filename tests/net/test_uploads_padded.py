"""Downloads whose lengths say no more than a class: over TLS, behind the laboratory's tap."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from upload_house import house

from quietwire.net.coding import least
from quietwire.net.http import HEAD_BYTES
from quietwire.seal.uploads import SMALLEST, size_class
from quietwire.server.uploads import PATH

GZIP = {"Accept-Encoding": "gzip, deflate"}
IDENTITY = {"Accept-Encoding": "identity"}


def test_a_watcher_of_a_download_sees_its_class_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            by_class: dict[int, list[list[int]]] = {}
            big = size_class(least(300_000))
            near = [size for size in (299_000, 300_000, 300_400, 303_000) if size_class(least(size)) == big]
            assert len(near) > 1
            for size, kind in zip(
                (1, 100, 9_000, 32_000, *near),
                ("image/png", "", "application/pdf", "video/mp4", "", "image/jpeg", "text/html", "audio/ogg"),
                strict=False,
            ):
                content = os.urandom(size)
                body, down, heads = await h.seen(await h.file(content, kind), **GZIP)
                assert body == content
                assert heads["content-encoding"] == "gzip"
                total = size_class(least(size))
                assert int(heads["content-length"]) == total
                assert sum(length - 17 for length in down) == HEAD_BYTES + total
                by_class.setdefault(total, []).append(down)
            assert set(by_class) == {SMALLEST, big}
            for same in by_class.values():
                assert all(down == same[0] for down in same)

    asyncio.run(run())


def test_heads_do_not_tell_types_or_statuses(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            picture, other = await h.file(b"x" * 777, "image/png"), await h.file(b"x" * 7, "application/x-secret")
            _, one, _ = await h.seen(picture, "HEAD", **GZIP)
            _, two, _ = await h.seen(other, "HEAD", **GZIP)
            _, three, _ = await h.seen(f"{h.base}{PATH}/{'A' * 32}/x")
            assert [length - 17 for length in one] == [HEAD_BYTES]
            assert one == two == three

    asyncio.run(run())


def test_a_part_is_answered_with_the_whole_where_it_can_be_padded(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            content = os.urandom(50_000)
            url = await h.file(content, "")
            body, _, heads = await h.seen(url, **GZIP, Range="bytes=10-19")
            assert body == content
            assert "content-range" not in heads
            # Who takes no gzip gets what was asked for, at its length: that is declared.
            body, down, heads = await h.seen(url, **IDENTITY, Range="bytes=10-19")
            assert body == content[10:20]
            assert sum(length - 17 for length in down) == HEAD_BYTES + 10
            assert (await h.seen(url, **IDENTITY))[0] == content

    asyncio.run(run())
