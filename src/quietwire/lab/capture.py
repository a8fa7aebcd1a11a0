"""Captures what passes an interface, with the kernel's times, into a pcap file: what tcpdump does, without tcpdump.

A packet socket (packet(7)) with a filter in the kernel (socket filtering of Linux, the classic BPF of McCanne and
Jacobson, "The BSD Packet Filter", USENIX Winter 1993) for TCP of some ports. Root only, Linux only. It runs as a
process of its own, so that what is measured and what measures share no interpreter::

    with Capturing(Path("x.pcap"), [5222]) as capture:
        ...
    capture.packets, capture.dropped

`python -m quietwire.lab.capture FILE INTERFACE PORT...` does it until its standard input ends; `command` is where to
put ``ip netns exec NAME`` in front.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from quietwire.lab.trace import TraceError

BUFFER: Final = 64 << 20
"""Bytes that the kernel keeps while we are not scheduled: a second of a busy loopback."""
SNAP: Final = 1 << 17
"""Bytes of a packet that are kept: all, since on loopback the largest have 64 KiB."""
MOST_PORTS: Final = 400
"""A filter has at most 4,096 instructions (BPF_MAXINSNS), a port eight."""
PATIENCE: Final = 10.0
"""Seconds for the process to begin and to end."""

_ETH_P_ALL, _ETHERNET = 3, 1
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_OUTGOING = 4


def available() -> str:
    """Why nothing can be captured here, or ""."""
    if not hasattr(socket, "AF_PACKET"):
        return "only Linux has packet sockets"
    if os.geteuid() != 0:
        return "only root can capture from an interface"
    return ""


Instruction = tuple[int, int, int, int]


def port_filter(ports: Sequence[int]) -> list[Instruction]:
    """TCP over IPv4 or IPv6 in Ethernet frames, from or to one of the ports. Raises ValueError."""
    if not ports or len(ports) > MOST_PORTS or not all(0 < port < 65_536 for port in ports):
        raise ValueError(f"one to {MOST_PORTS} ports can be watched")
    load_half, load_byte, load_half_x, load_head = 0x28, 0x30, 0x48, 0xB1
    jump, equal, masked, give = 0x05, 0x15, 0x45, 0x06
    yes, no = (give, 0, 0, SNAP), (give, 0, 0, 0)

    def either(load: int, source: int) -> list[Instruction]:
        lines: list[Instruction] = []
        for at in (source, source + 2):
            lines.append((load, 0, 0, at))
            for port in ports:
                lines += [(equal, 0, 1, port), yes]
        return [*lines, no]

    four: list[Instruction] = [
        (load_byte, 0, 0, 23), (equal, 1, 0, 6), no, (load_half, 0, 0, 20), (masked, 0, 1, 0x1FFF), no,
        (load_head, 0, 0, 14), *either(load_half_x, 14),
    ]  # fmt: skip
    six: list[Instruction] = [(load_byte, 0, 0, 20), (equal, 1, 0, 6), no, *either(load_half, 54)]
    return [
        (load_half, 0, 0, 12), (equal, 0, 1, 0x86DD), (jump, 0, 0, 2 + len(four)), (equal, 1, 0, 0x0800), no,
        *four, *six,
    ]  # fmt: skip


def accepts(program: Sequence[Instruction], packet: bytes) -> bool:
    """What the kernel would say. For tests: a filter of the wrong ports loses everything in silence."""
    at = accumulator = index = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        offset = k + index if code == 0x48 else k
        size = {0x28: 2, 0x48: 2, 0x30: 1, 0xB1: 1}.get(code, 0)
        if offset + size > len(packet) and size:
            return False
        value = int.from_bytes(packet[offset : offset + size], "big")
        if code == 0xB1:
            index = 4 * (value & 15)
        elif size:
            accumulator = value
        elif code == 0x05:
            at += k
        elif code == 0x15:
            at += yes if accumulator == k else no
        elif code == 0x45:
            at += yes if accumulator & k else no
        else:
            return k > 0


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("lines", ctypes.c_void_p))


def listen(interface: str, ports: Sequence[int]) -> socket.socket:
    """A packet socket that gets what the filter lets pass, with times. Raises OSError."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        raw = b"".join(struct.pack("=HBBI", *line) for line in port_filter(ports))
        lines = ctypes.create_string_buffer(raw, len(raw))
        program = _Program(len(raw) // 8, ctypes.addressof(lines))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(program))
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        sock.bind((interface, _ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock


def header() -> bytes:
    """Of a pcap file with nanoseconds and Ethernet frames."""
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAP, _ETHERNET)


def record(seconds: int, nanoseconds: int, packet: bytes, length: int) -> bytes:
    """A packet of it; `length` is what it had on the wire."""
    return struct.pack("<IIII", seconds, nanoseconds, len(packet), length) + packet


def write(sock: socket.socket, file: IO[bytes], stop: int, loops: bool) -> int:
    """Writes what comes until the descriptor `stop` has something to read or ends, and then what has come by then.
    `loops`: the interface shows each packet when it leaves and when it comes back; one of them counts. Returns how many
    packets."""
    sock.setblocking(False)
    count = 0
    ending = False
    while True:
        if not ending:
            ready, _, _ = select.select([sock.fileno(), stop], [], [])
            ending = stop in ready
        try:
            while True:
                packet, ancillary, _, source = sock.recvmsg(SNAP, 64)
                if loops and source[2] == _OUTGOING:
                    continue
                seconds = nanoseconds = 0
                for level, kind, data in ancillary:
                    if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                        seconds, nanoseconds = struct.unpack("@ll", data[: struct.calcsize("@ll")])
                file.write(record(seconds, nanoseconds, packet, len(packet)))
                count += 1
        except BlockingIOError:
            file.flush()
            if ending:
                return count


def dropped(sock: socket.socket) -> int:
    """Packets that the kernel could not keep for us since the last time this was asked."""
    return int(struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1])


class Capturing:
    """A capture in a process of its own, as a context. Raises TraceError where it cannot be had."""

    def __init__(self, path: Path, ports: Sequence[int], interface: str = "lo", prefix: Sequence[str] = ()) -> None:
        """`prefix`: a command that runs it elsewhere, for instance ``ip netns exec NAME``."""
        self._command = [
            *prefix, sys.executable, "-m", "quietwire.lab.capture", str(path), interface, *map(str, ports),
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self.packets = 0
        self.dropped = 0
        """By the kernel, as the buffer was full: more than none, and the capture is not whole."""

    def __enter__(self) -> Self:
        if why := available():
            raise TraceError(why)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            _, complaint = self._process.communicate(timeout=PATIENCE)
            raise TraceError(f"nothing can be captured: {(complaint.strip().splitlines() or ['no reason given'])[-1]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        try:
            told, complaint = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise TraceError("the capture did not end") from error
        if self._process.returncode:
            raise TraceError(f"the capture failed: {(complaint.strip().splitlines() or ['?'])[-1]}") from error
        counted = json.loads(told)
        self.packets, self.dropped = counted["packets"], counted["dropped"]


def main(arguments: Sequence[str]) -> int:
    """The process: says ``ready``, captures until its standard input ends, says how many packets there were."""
    path, interface, *ports = arguments
    loops = False
    with contextlib.suppress(OSError):
        flags = int(Path(f"/sys/class/net/{interface}/flags").read_text().strip(), 16)
        loops = bool(flags & 8)  # IFF_LOOPBACK
    with listen(interface, [int(port) for port in ports]) as sock, Path(path).open("wb") as file:
        file.write(header())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        packets = write(sock, file, sys.stdin.fileno(), loops)
        json.dump({"packets": packets, "dropped": dropped(sock)}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
