"""Files over HTTP, against our server's web port behind a tap, and within the link."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from upload_house import House, house

from quietwire.client import files, sharing
from quietwire.client.adapter import tls_context
from quietwire.client.errors import RequestError
from quietwire.client.files import FileError
from quietwire.client.sharing import DISCO_ITEMS, UPLOAD, Sharing
from quietwire.core import ns
from quietwire.core.xml import build

OCTETS = "application/octet-stream"


class Server:
    """Answers iqs as a server with an upload service does."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.asked: list[tuple[str, str | None]] = []
        self.headers: tuple[tuple[str, str], ...] = ()

    async def request(self, type: str, payload: Element, to: str | None = None) -> Element:
        self.asked.append((payload.tag, to))
        answer = build(f"{{{ns.CLIENT}}}iq", {"type": "result"})
        if payload.tag == f"{{{DISCO_ITEMS}}}query":
            items = (build(f"{{{DISCO_ITEMS}}}item", {"jid": jid}) for jid in ("gone", "rooms", "up"))
            answer.append(build(payload.tag, None, *items))
        elif payload.tag == f"{{{ns.DISCO_INFO}}}query":
            if to == "gone":
                raise RequestError("item-not-found")
            feature = UPLOAD if to == "up" else "urn:other"
            answer.append(build(payload.tag, None, build(f"{{{ns.DISCO_INFO}}}feature", {"var": feature})))
        else:
            assert (payload.tag, to) == (f"{{{UPLOAD}}}request", "up")
            url = self.house.slot(int(payload.get("size", "")), payload.get("content-type", ""))
            headers = (build(f"{{{UPLOAD}}}header", {"name": name}, text=value) for name, value in self.headers)
            put = build(f"{{{UPLOAD}}}put", {"url": url}, *headers)
            answer.append(build(f"{{{UPLOAD}}}slot", None, put, build(f"{{{UPLOAD}}}get", {"url": url})))
        return answer


def a_sharing(server: Server, folder: Path) -> Sharing:
    return Sharing("a.example", server.request, lambda: tls_context(folder / "ca"))


def test_a_file_goes_over_http_and_comes_back_and_shows_its_class_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            share = a_sharing(server := Server(h), tmp_path)
            server.headers = (("Authorization", "Bearer x"), ("Host", "evil.example"), ("Cookie", "a\r\nb"))
            (target := tmp_path / "got").mkdir()
            sent: list[list[int]] = []
            for size, name in ((1, "a.txt"), (12_345, "../b.png"), (30_000, "a-much-longer-name.tar.gz")):
                path = tmp_path / Path(name).name
                path.write_bytes(content := os.urandom(size))
                offered = await share.offer(path, "text/plain", within=False, leave=True)
                assert (offered.name, offered.size) == (path.name, size)
                assert offered.url.startswith("https://")
                assert offered.content == ""
                sent.append(h.watcher.up[list(h.watcher.up)[-1]])
                got = await share.fetch(offered, target, delay=0.0)
                assert (got.name, got.read_bytes()) == (path.name, content)
            # The handshake's last record, the head of the request, the body, TLS' good-bye.
            assert sent[0] == sent[1] == sent[2]
            assert sum(length - 17 for length in sent[0]) > files.uploaded_size(1)
            assert len([1 for tag, _ in server.asked if tag == f"{{{DISCO_ITEMS}}}query"]) == 1
            again = await share.fetch(offered, target, delay=0.0)
            assert again.name == "a-much-longer-name.tar-1.gz"
            assert sorted(path.name for path in target.iterdir())[0][0] != "."

    asyncio.run(run())


def test_what_is_not_what_was_offered_leaves_nothing_behind(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            share = a_sharing(Server(h), tmp_path)
            (path := tmp_path / "a").write_bytes(os.urandom(1000))
            offered = await share.offer(path, OCTETS, within=False, leave=True)
            (target := tmp_path / "got").mkdir()
            too_long = await h.file(os.urandom(40_000), "")
            for changed, said in (
                (replace(offered, key=files.digest_of([b"x"])), "not what was offered"),
                (replace(offered, url=too_long), "not what was offered"),
                (replace(offered, url=f"{h.base}/upload/{'A' * 32}/x"), "fetched: 404"),
                (replace(offered, url="https://127.0.0.1:1/x"), "cannot be fetched"),
                (replace(offered, url=offered.url.replace("https", "http")), "nothing is encrypted"),
            ):
                with pytest.raises(FileError, match=said):
                    await share.fetch(changed, target, delay=0.0)
            assert list(target.iterdir()) == []
            with pytest.raises(FileError, match="cannot be written"):
                await share.fetch(offered, tmp_path / "none", delay=0.0)

    asyncio.run(run())


def test_a_fetch_waits_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            share = a_sharing(Server(h), tmp_path)
            (path := tmp_path / "a").write_bytes(b"x")
            offered = await share.offer(path, OCTETS, within=False, leave=True)
            before = len(h.watcher.up)
            fetching = asyncio.ensure_future(share.fetch(offered, tmp_path, delay=3600.0))
            await asyncio.sleep(0)
            assert len(h.watcher.up) == before
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching

    asyncio.run(run())
    assert not list(tmp_path.glob(".*.part"))


def test_a_small_file_stays_within_the_link(tmp_path: Path) -> None:
    async def request(type: str, payload: Element, to: str | None = None) -> Element:
        raise AssertionError("nothing is asked for")

    async def run() -> None:
        share = Sharing("a.example", request, lambda: pytest.fail("nothing is dialled"))
        (path := tmp_path / "a.bin").write_bytes(content := os.urandom(files.SMALL))
        offered = await share.offer(path, OCTETS, within=True, leave=False)
        assert offered.url == ""
        (target := tmp_path / "got").mkdir()
        assert (await share.fetch(offered, target)).read_bytes() == content
        with pytest.raises(FileError, match="not what was offered"):
            await share.fetch(replace(offered, digest=files.digest_of([b"x"])), target)
        path.write_bytes(os.urandom(files.SMALL + 1))
        with pytest.raises(FileError, match="leaves the steady link"):
            await share.offer(path, OCTETS, within=True, leave=False)

    asyncio.run(run())


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    async def nothing(type: str, payload: Element, to: str | None = None) -> Element:
        return build(f"{{{ns.CLIENT}}}iq", {"type": "result"})

    async def run() -> None:
        share = Sharing("a.example", nothing, lambda: tls_context(None))
        (tmp_path / "empty").write_bytes(b"")
        (tmp_path / "some").write_bytes(b"x")
        for name, said in (
            ("empty", "only files"),
            (".", "only files"),
            ("none", "cannot be read"),
            ("some", "takes no"),
        ):
            with pytest.raises(FileError, match=said):
                await share.offer(tmp_path / name, OCTETS, within=False, leave=True)
        share._service = "up"
        with pytest.raises(RequestError):
            await share.offer(tmp_path / "some", OCTETS, within=False, leave=True)

    asyncio.run(run())


def test_a_server_that_takes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            server = Server(h)
            share = a_sharing(server, tmp_path)
            (path := tmp_path / "a").write_bytes(b"x")
            h.slot = lambda size, kind="": f"{h.base}/upload/{'A' * 32}/x"  # type: ignore[method-assign]
            with pytest.raises(FileError, match="did not take the file"):
                await share.offer(path, OCTETS, within=False, leave=True)
            h.slot = lambda size, kind="": "http://up.example/x"  # type: ignore[method-assign]
            with pytest.raises(FileError, match="nothing is encrypted"):
                await share.offer(path, OCTETS, within=False, leave=True)

    asyncio.run(run())
    assert sharing.FETCH_SECONDS > 0
