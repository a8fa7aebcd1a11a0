"""A `Connection` whose writes are shaped by time, between a real transport and a stream that writes down what it is
told. That TLS begins it: `tests/e2e/test_links.py`."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from test_stream import Diary, play, read  # noqa: F401 - a fixture

from quietwire.net.stream import HELD_BYTES, OUTBOX_BYTES, Connection
from quietwire.shaping.frames import Unpacker, pack
from quietwire.shaping.policy import Policy, Profile

FAST = Policy(Profile.STEADY, cell=128, tick=0.1, fast_tick=0.1, window=0.0, bulk_every=0.0)
HOURLY = Policy(Profile.STEADY, cell=128, tick=60.0, fast_tick=0.1, window=0.0, bulk_every=0.0)
JITTER = Policy(Profile.JITTER, delay=0.05)


async def whole(end: socket.socket) -> bytes:
    """Until the end."""
    data = b""
    while piece := await asyncio.get_running_loop().sock_recv(end, 1 << 16):
        data += piece
    return data


def test_cells_come_whether_there_is_anything_or_not(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        link = stream.link
        assert not link.paced
        assert link.space() > 1 << 20
        assert link.shape(FAST)
        assert link.paced
        assert link.policy == FAST
        assert await read(end, 256) == b" " * 256
        link.put(b"<one/>")
        link.put(b"<two/>")
        await asyncio.sleep(0)
        assert link.backlog() == 12
        assert link.space() == 116
        assert (await read(end, 128 * 3)).replace(b" ", b"") == b"<one/><two/>"
        await stream.until(lambda: "written" in stream.told)
        assert link.backlog() == 0

    play(dialogue)


@pytest.mark.parametrize("policy", [FAST, JITTER], ids=["steady", "jitter"])
def test_what_was_put_leaves_before_the_close(play: Any, policy: Policy) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.shape(policy)
        stream.link.put(b"x" * 300)
        stream.link.put(b"</stream>")
        stream.link.close()
        stream.link.close()
        assert not stream.link.shape(Policy())
        assert (await whole(end)).replace(b" ", b"") == b"x" * 300 + b"</stream>"
        await stream.until(lambda: "lost" in stream.told)

    play(dialogue)


def test_a_close_waits_for_no_more_than_a_tick(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("quietwire.net.stream.CLOSE_SECONDS", 0.1)

    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.shape(FAST)
        stream.link.put(b"x" * 5_000)
        stream.link.close()
        assert len(await whole(end)) in range(128, 512)
        await stream.until(lambda: "lost" in stream.told)
        assert "written" not in stream.told

    play(dialogue)


def test_who_has_been_cut_off_costs_nothing_any_more(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        link = stream.link
        assert isinstance(link, Connection)
        link.shape(FAST)
        pacer = link._shell.pacer
        assert pacer.links == 1
        link.put(b"x")
        link.abort()
        await stream.until(lambda: "lost" in stream.told)
        assert pacer.links == 0
        assert not link.shape(FAST)

    play(dialogue)


def test_another_profile_takes_over_what_waits(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        link = stream.link
        link.shape(HOURLY)
        link.put(b"<a>" + b"1" * 500 + b"</a>")
        await asyncio.sleep(0)
        link.put(b"<b/>")
        link.shape(FAST)
        await asyncio.sleep(0.25)
        link.put(b"<c/>")
        link.shape(JITTER)
        link.put(b"<d/>")
        await asyncio.sleep(0)
        link.put(b"<e/>")
        link.shape(Policy(Profile.PADDED, 64))
        link.put(b"<f/>")
        await asyncio.sleep(0)
        link.shape(Policy())
        link.put(b"<g/>")
        link.close()
        text = (await whole(end)).replace(b" ", b"")
        assert text == b"<a>" + b"1" * 500 + b"</a><b/><c/><d/><e/><f/><g/>"

    play(dialogue)


def test_a_queue_has_an_end(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.shape(HOURLY)
        stream.link.put(b"x" * (OUTBOX_BYTES + 1))
        await stream.until(lambda: "lost" in stream.told)
        assert "overflow" in stream.told

    play(dialogue)


def test_jitter_tells_when_all_is_written(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.shape(JITTER)
        for number in range(5):
            stream.link.put(b"<%d/>" % number)
            await asyncio.sleep(0.01)
        assert await read(end, 20) == b"<0/><1/><2/><3/><4/>"
        await stream.until(lambda: "written" in stream.told)
        assert stream.link.backlog() == 0

    play(dialogue)


def test_a_stream_that_has_more_is_asked_for_it(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        pieces = [b"<%d/>" % number + b"y" * 120 for number in range(4)]
        asked: list[int] = []

        def room() -> None:
            asked.append(stream.link.space())
            if pieces:
                stream.link.put(pieces.pop(0))

        stream.room = room  # type: ignore[attr-defined]
        stream.link.shape(FAST)
        data = (await read(end, 6 * 128)).replace(b" ", b"")
        assert data == b"".join(b"<%d/>" % number + b"y" * 120 for number in range(4))
        assert all(space > 0 for space in asked)

    play(dialogue)


def test_what_is_put_is_packed_where_the_peer_reads_frames(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        link, asked = stream.link, []
        said = [b"<message to='ann@a.example' type='chat' id='%d'/>" % number for number in range(9)]
        link.shape(HOURLY)
        assert not link.pack()  # this stream cannot read any
        stream.unpack = lambda: asked.append(1)  # type: ignore[attr-defined]
        link.put(said[0])
        await asyncio.sleep(0)
        assert link.pack()
        assert (link.packs, asked) == (True, [1])
        link.put(said[1])
        await asyncio.sleep(0)
        assert link.backlog() == len(said[0]) + len(pack(said[1]))
        link.shape(FAST)
        assert link.packs
        for data in said[2:5]:
            link.put(data)
        await asyncio.sleep(0.15)
        link.put(said[5])
        link.shape(HOURLY)  # in the middle of whatever
        link.put(said[6])
        link.shape(JITTER)
        assert not link.packs
        assert not link.pack()
        link.put(said[7])
        link.shape(FAST)
        assert not link.packs
        link.put(said[8])
        link.close()
        pieces = list(Unpacker().feed(await whole(end)))
        assert b"".join(data for data, _ in pieces).replace(b"  ", b"") == b"".join(said)
        assert [data for data, packed in pieces if packed] == said[1:7]

    play(dialogue)


def test_no_frames_on_other_links(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.unpack = lambda: pytest.fail("it was told that frames come")  # type: ignore[attr-defined]
        assert not stream.link.pack()
        for profile in (Profile.OFF, Profile.PADDED, Profile.JITTER):
            stream.link.shape(Policy(profile))
            assert not stream.link.pack()
        stream.link.shape(FAST)
        stream.link.close()
        assert not stream.link.pack()

    play(dialogue)


def paced(stream: Diary) -> None:
    """A link both of whose ends are ours, whose turn is an hour away."""
    link: Any = stream.link
    stream.unpack = lambda: None  # type: ignore[attr-defined]
    link.shape(FAST)
    assert 0 < link._line.turn() <= FAST.tick
    link._shell.pacer.turn = lambda _: 3600.0
    assert link.pack()


def test_a_paced_peer_is_heard_in_its_turn(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        paced(stream)
        link: Any = stream.link
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(end, b"<one/>")
        await until(lambda: link._inbox == b"<one/>")
        await loop.sock_sendall(end, b"<two/>")
        await until(lambda: link._inbox == b"<one/><two/>")
        assert not stream.got
        link._take()
        assert stream.got == b"<one/><two/>"
        link._shell.pacer.turn = lambda _: 0.0
        await loop.sock_sendall(end, b"<three/>")
        await until(lambda: stream.got == b"<one/><two/><three/>")

    play(dialogue)


def connection(stream: Diary) -> Connection:
    assert isinstance(stream.link, Connection)
    return stream.link


async def until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - a connection tells nobody what it holds back
            await asyncio.sleep(0.001)


def test_what_waits_for_a_turn_is_heard_when_there_are_none_any_more(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        paced(stream)
        await asyncio.get_running_loop().sock_sendall(end, b"<one/>")
        await until(lambda: connection(stream)._inbox)
        stream.link.shape(JITTER)
        await until(lambda: stream.got == b"<one/>")
        await asyncio.get_running_loop().sock_sendall(end, b"<two/>")
        await until(lambda: stream.got == b"<one/><two/>")
        assert not connection(stream)._gated

    play(dialogue)


def test_what_waits_for_a_turn_is_heard_before_the_end(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        paced(stream)
        await asyncio.get_running_loop().sock_sendall(end, b"<one/>")
        end.shutdown(socket.SHUT_WR)
        await stream.until(lambda: "lost" in stream.told)
        assert stream.got == b"<one/>"
        assert stream.told.index("received") < stream.told.index("lost")

    play(dialogue)


def test_what_waits_for_a_turn_has_a_limit(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        paced(stream)
        sent = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(end, b"x" * (8 << 20)))
        await until(lambda: connection(stream)._held)
        assert HELD_BYTES < len(connection(stream)._inbox) < 4 * HELD_BYTES + (1 << 20)
        while not sent.done() or len(stream.got) < 8 << 20:
            connection(stream)._take()
            await asyncio.sleep(0.001)
        assert stream.got == b"x" * (8 << 20)

    play(dialogue)


def test_nothing_waits_for_a_turn_once_the_end_has_begun(play: Any) -> None:  # noqa: F811
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        paced(stream)
        stream.link.put(b"x" * 3_000)  # which takes seconds to leave
        stream.link.close()
        await asyncio.get_running_loop().sock_sendall(end, b"x" * (1 << 18))
        await until(lambda: len(stream.got) == 1 << 18 or "lost" in stream.told)
        assert len(stream.got) == 1 << 18
        assert not connection(stream)._inbox

    play(dialogue)
