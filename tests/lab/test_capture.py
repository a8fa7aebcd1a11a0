from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from packets import CLIENT, CLIENT6, SERVER, SERVER6, ethernet, ip

from quietwire.lab import capture
from quietwire.lab.capture import MOST_PORTS, Capturing, accepts, available, port_filter
from quietwire.lab.flows import Flow, flows
from quietwire.lab.pcap import FIN, segments
from quietwire.lab.tap import Tap
from quietwire.lab.trace import LinkWriter, TraceError
from quietwire.seal.authority import Authority, new_p256_key

root = pytest.mark.skipif(bool(available()), reason=available() or "-")


def test_the_filter_takes_tcp_of_these_ports() -> None:
    program = port_filter([5222, 40_001])
    assert accepts(program, ethernet(ip(CLIENT, SERVER, 1)))
    assert accepts(program, ethernet(ip(SERVER, CLIENT, 1)))
    assert accepts(program, ethernet(ip(CLIENT6, SERVER6, 1, b"x")))
    assert accepts(program, ethernet(ip(SERVER6, CLIENT6, 1, b"x")))
    assert accepts(program, ethernet(ip(("192.0.2.1", 40_001), ("192.0.2.9", 1), 1)))


def test_the_filter_leaves_the_rest() -> None:
    program = port_filter([5222])
    other = (CLIENT[0], 1), (SERVER[0], 2)
    other6 = (CLIENT6[0], 1), (SERVER6[0], 2)
    udp, fragment, arp = (bytearray(ethernet(ip(CLIENT, SERVER, 1))) for _ in range(3))
    udp[23] = 17
    fragment[21] = 9
    arp[13] = 6
    udp6 = bytearray(ethernet(ip(CLIENT6, SERVER6, 1)))
    udp6[20] = 17
    for packet in (udp, fragment, arp, udp6, bytearray(20), bytearray()):
        assert not accepts(program, bytes(packet))
    assert not accepts(program, ethernet(ip(*other, 1)))
    assert not accepts(program, ethernet(ip(*other6, 1)))


@pytest.mark.parametrize("ports", [[], [0], [65_536], list(range(1, MOST_PORTS + 2))])
def test_ports_that_cannot_be_watched(ports: list[int]) -> None:
    with pytest.raises(ValueError, match="ports can be watched"):
        port_filter(ports)


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(TraceError, match="only root"), Capturing(tmp_path / "x.pcap", [5222]):
        pass
    assert not (tmp_path / "x.pcap").exists()


@root
def test_an_interface_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nothing can be captured: .*No such device"):
        Capturing(tmp_path / "x.pcap", [5222], interface="nosuch0").__enter__()


@root
def test_the_kernel_takes_the_longest_filter() -> None:
    capture.listen("lo", list(range(1, MOST_PORTS + 1))).close()


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = Authority("T", now=time.time(), days=1, new_key=new_p256_key, random=lambda n: b"1" * n)
    leaf = authority.issue(["a.example"])
    (folder / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf.pem")
    return server, ssl.create_default_context(cadata=authority.certificate.decode())


SIZES = (1, 17, 400, 30_000, 5, 120_000, 64)
"""Bytes that go there and come back. The large ones are several records and more than a segment."""


async def talk(folder: Path, around: Callable[[int], AbstractContextManager[object]]) -> int:
    """A TLS session through a tap, whose trace is `tap.jsonl`; `around` is given the tap's port before it begins."""
    server_side, client_side = certified(folder)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_side)
    log = LinkWriter(folder / "tap.jsonl", "p")
    tap = Tap(
        initiator="c", responder="s", target=("127.0.0.1", server.sockets[0].getsockname()[1]), writers=[log],
        names=(f"L{n}" for n in itertools.count(1)), clock=time.time,
    )  # fmt: skip
    port = await tap.start()
    with around(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_side, server_hostname="a.example")
        for size in SIZES:
            writer.write(bytes(size))
            await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
    await tap.close()
    server.close()
    log.close()
    return port


def agree(captured: list[Flow], port: int, tapped: list[Flow]) -> None:
    """The kernel saw at the client's side of the tap what the tap saw."""
    (flow,), (known,) = captured, tapped
    assert flow.link.endswith(f">127.0.0.1:{port}")
    for way in (1, -1):
        assert flow.sizes[flow.ways == way].tolist() == known.sizes[known.ways == way].tolist()
    up = flow.ways == 1
    lag = known.times[known.ways == 1] - flow.times[up]
    assert np.median(lag) < 0.05  # the tap looks after the kernel has it
    assert lag.min() > -0.001
    assert flow.bytes(1) >= sum(SIZES)
    assert flow.bytes(-1) >= sum(SIZES)


@root
def test_the_kernel_and_the_tap_see_the_same_session(tmp_path: Path) -> None:
    captures: list[Capturing] = []

    def around(port: int) -> Capturing:
        captures.append(Capturing(tmp_path / "x.pcap", [port]))
        return captures[0]

    port = asyncio.run(talk(tmp_path, around))
    assert (captures[0].packets > 20, captures[0].dropped) == (True, 0)
    assert len(list(segments(tmp_path / "x.pcap"))) == captures[0].packets
    agree(flows(tmp_path / "x.pcap"), port, flows(tmp_path / "tap.jsonl"))


def finished(path: Path) -> int:
    """Ends of directions that are in a capture."""
    with contextlib.suppress(OSError, TraceError):
        return len({segment.source for segment in segments(path) if segment.flags & FIN})
    return 0


@pytest.mark.peer
@root
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("options", [[], ["-i", "any"], ["--time-stamp-precision=nano"]])
def test_tcpdump_and_the_tap_see_the_same_session(tmp_path: Path, options: list[str]) -> None:
    @contextmanager
    def around(port: int):  # type: ignore[no-untyped-def]
        interface = [] if "any" in options else ["-i", "lo"]
        command = ["tcpdump", *interface, *options, "-U", "-B", "65536", "-w", str(tmp_path / "x.pcap")]
        process = subprocess.Popen([*command, f"tcp port {port}"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            assert line, "tcpdump has ended"
        yield
        deadline = time.monotonic() + 20
        while finished(tmp_path / "x.pcap") < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # it writes what it has when it gets to it
        process.terminate()
        told = process.communicate()[1]
        assert " 0 packets dropped by kernel" in told.replace("\n", " "), told

    port = asyncio.run(talk(tmp_path, around))
    agree(flows(tmp_path / "x.pcap"), port, flows(tmp_path / "tap.jsonl"))


@root
def test_the_process_counts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "quietwire.lab.capture", str(tmp_path / "x.pcap"), "lo", "9"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert done.stdout == 'ready\n{"packets": 0, "dropped": 0}'
    assert (tmp_path / "x.pcap").read_bytes() == capture.header()
