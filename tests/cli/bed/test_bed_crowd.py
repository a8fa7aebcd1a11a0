from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from quietwire.cli.bed import crowd
from quietwire.client.errors import LinkError
from quietwire.client.link import Link
from quietwire.lab.processes import BedError, Ordered
from quietwire.lab.range import plans
from quietwire.lab.range.cast import cast
from quietwire.lab.testbed import free_ports
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.shaping import frames

OFF = {"profile": "off", "follows": False}


def given(tmp_path: Path, **more: Any) -> dict[str, Any]:
    events = plans.small(3, 0.5)
    plans.write(tmp_path / "plan", events)
    authority = Authority("test", now=time.time(), days=1, new_key=new_p256_key, random=secrets.token_bytes)
    (tmp_path / "ca").write_bytes(authority.certificate)
    people = cast(events, plans.nobody_special(3))
    (port,) = free_ports(1)
    taps = {f"{user}.{device}": port for user, device in people.devices}
    return {
        "plan": str(tmp_path / "plan"), "cast": people.document(), "worker": 1, "workers": 2, "taps": taps,
        "web_taps": taps, "direct": {"a.example": port}, "web": {"a.example": port}, "password": "p",
        "authority": str(tmp_path / "ca"), "content": "omemo", "largest": 1000, "seed": 1, "profile": OFF,
        "probing": False, "truth": str(tmp_path / "truth"), **more,
    }  # fmt: skip


def test_a_worker_gets_its_share_of_the_people(tmp_path: Path) -> None:
    found = crowd.settings(given(tmp_path))
    assert found.users == {1}
    assert found.events == plans.small(3, 0.5)
    assert set(found.taps) == set(found.cast.devices)
    assert not found.quiet
    assert not found.probing
    assert crowd.settings(given(tmp_path, profile={"profile": "steady", "follows": True})).quiet


def test_without_a_profile_nothing_is_wrapped() -> None:
    assert crowd.wrapped(OFF) is None


class Stream:
    """What slixmpp's stream has of a protocol."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.got: list[bytes] = []
        self.lost = self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def connection_made(self, transport: Any, send_event: bool = True) -> None:
        self.transport = transport

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self.got.append(data)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.said = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        if data.strip():
            self.said.set()

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


def test_a_client_with_a_profile_writes_through_a_link() -> None:
    async def go() -> None:
        wrap = crowd.wrapped({"profile": "padded", "follows": False, "block": 256})
        assert wrap is not None
        stream, below = Stream(), Transport()
        assert wrap(stream) is None  # type: ignore[arg-type]
        stream.connection_made(below)
        assert isinstance(stream.transport, Link)
        stream.transport.write(b"<a/>")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [len(data) for data in below.written] == [256]
        stream.data_received(b"x")
        stream.connection_lost(None)
        assert stream.got == [b"x"]
        assert stream.lost

    asyncio.run(go())


def test_where_both_sides_are_steady_frames_may_come_and_go() -> None:
    async def go() -> None:
        wrap = crowd.wrapped({"profile": "steady", "follows": True, "tick": 0.3, "fast_tick": 0.1, "cell": 254})
        assert wrap is not None
        stream, below = Stream(), Transport()
        pack = wrap(stream)  # type: ignore[arg-type]
        assert pack is not None
        pack()  # before there is a connection
        stream.connection_made(below)
        assert isinstance(stream.transport, Link)
        stanza = b"<message to='u1@a.example' type='chat' id='1'><body>" + b"word " * 9 + b"</body></message>"
        frame = frames.pack(stanza)
        assert len(frame) < len(stanza)
        stream.data_received(frame[:9])
        stream.data_received(frame[9:] + b"  <r/>")
        assert stream.got == [stanza, b"  <r/>"]
        pack()
        stream.transport.write(stanza)
        async with asyncio.timeout(60):
            await below.said.wait()
        assert b"".join(below.written).strip() == frame
        stream.data_received(frames.MARK + b"\0\0\4none")
        assert stream.aborted
        stream.connection_lost(None)

    asyncio.run(go())


def test_cells_that_no_server_takes_are_refused() -> None:
    with pytest.raises(LinkError):
        crowd.wrapped({"profile": "steady", "follows": True, "cell": 8000, "tick": 1.0, "fast_tick": 1.0})


def test_a_worker_takes_orders_and_says_what_it_could_not_do(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def go() -> None:
        worker = Ordered("worker", tmp_path / "log", lambda _, report: told.append(report))
        await worker.begin([sys.executable, "-m", "quietwire.cli.bed.crowd"], {}, given(tmp_path, patience=0.5))
        assert (await worker.order("friends"))["missing"] == 0
        await worker.order("prepare")
        answer = await worker.order("play", at=time.time(), compress=1000.0)
        assert answer["left_out"]["ping"] == 1  # there is no server
        with pytest.raises(BedError, match="login"):
            await worker.order("arrive")
        assert await worker.stop() == 0

    asyncio.run(go())
    assert any(report.get("event") == "trouble" and "login" in report["what"] for report in told)
    assert json.dumps(told)
    assert (tmp_path / "truth").read_text() == ""
