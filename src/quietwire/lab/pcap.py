"""Reads captures of tcpdump, Wireshark and their like: pcap and pcapng, down to the TCP segments in them.

Formats: pcap (draft-ietf-opsawg-pcap), pcapng (draft-ietf-opsawg-pcapng), link types as www.tcpdump.org/linktypes.html
numbers them. Both byte orders, micro- and nanoseconds. A capture whose end is cut off, as a killed tcpdump leaves it,
is read as far as it is whole; anything else that does not follow the format is a TraceError of one line. Packets that
are no TCP, fragments, and packets too short to tell are passed over, since every capture has some.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from quietwire.lab.trace import TraceError

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
MAX_PACKET: Final = 1 << 18
"""Bytes of a captured packet: libpcap's own limit (MAXIMUM_SNAPLEN)."""
MAX_BLOCK: Final = 1 << 24
"""Bytes of a block of pcapng. Those of names and of secrets are the largest real ones; Wireshark has the same limit."""
MAX_INTERFACES: Final = 4096
"""Of one section. One each is what writers make."""
LATEST: Final = 1 << 33
"""Epoch seconds after which a time is a mistake (year 2242)."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment. `time`: epoch seconds. `length`: bytes of payload on the wire, of which `data` was captured.
    `window`: that it advertises, not scaled."""

    time: float
    source: Address
    target: Address
    seq: int
    flags: int
    length: int
    data: bytes
    window: int = field(default=0, compare=False)


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with these four bytes is one."""
    return head[:4] in _PCAP or head[:4] == _SECTION


def segments(path: Path) -> Iterator[Segment]:
    """The TCP segments of a capture in the order of the file. Raises TraceError, OSError."""
    with path.open("rb") as file:
        head = file.read(4)
        if head in _PCAP:
            packets = _pcap(path, file, *_PCAP[head])
        elif head == _SECTION:
            file.seek(0)
            packets = _pcapng(path, file)
        else:
            raise TraceError(f"{path.name}: neither pcap nor pcapng")
        for time, linktype, packet in packets:
            unwrap = _LINKTYPES.get(linktype)
            if unwrap is None:
                raise TraceError(
                    f"{path.name}: link type {linktype} is not read; Ethernet, loopback, cooked and raw IP are"
                )
            if not 0 <= time < LATEST:
                raise TraceError(f"{path.name}: a packet of the time {time:g}")
            ip = unwrap(packet)
            if ip is not None and (found := _tcp(time, ip)) is not None:
                yield found


Packet = tuple[float, int, bytes]

_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6), b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9), b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}  # fmt: skip
_SECTION: Final = b"\x0a\x0d\x0d\x0a"


def _pcap(path: Path, file: IO[bytes], order: str, unit: float) -> Iterator[Packet]:
    head = file.read(20)
    if len(head) < 20:
        raise TraceError(f"{path.name}: cut off in its header")
    major, _, _, _, _, linktype = struct.unpack(order + "HHiIII", head)
    if major != 2:
        raise TraceError(f"{path.name}: pcap of version {major}; 2 is read")
    record = struct.Struct(order + "IIII")
    number = 0
    while len(head := file.read(16)) == 16:
        number += 1
        seconds, fraction, captured, _ = record.unpack(head)
        if captured > MAX_PACKET:
            raise TraceError(f"{path.name}: packet {number} has {captured} bytes; at most {MAX_PACKET} can be")
        packet = file.read(captured)
        if len(packet) < captured:
            return
        yield seconds + fraction * unit, linktype & 0xFFFF, packet


@dataclass(slots=True)
class _Interface:
    linktype: int
    unit: float = 1e-6
    offset: int = 0
    snap: int = 0


def _pcapng(path: Path, file: IO[bytes]) -> Iterator[Packet]:
    order = "<"
    interfaces: list[_Interface] = []
    number = 0
    while len(head := file.read(8)) == 8:
        number += 1
        if head[:4] == _SECTION:
            magic = file.read(4)
            if len(magic) < 4:
                return
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise TraceError(f"{path.name}: block {number} begins a section of unknown byte order")
            order = "<" if magic[0] == 0x4D else ">"
            file.seek(-4, 1)
            interfaces = []
        kind, length = struct.unpack(order + "II", head)
        if length < 12 or length % 4 or length > MAX_BLOCK:
            raise TraceError(f"{path.name}: block {number} says it has {length} bytes")
        body = file.read(length - 8)
        if len(body) < length - 8:
            return
        if struct.unpack(order + "I", body[-4:])[0] != length:
            raise TraceError(f"{path.name}: block {number} has two lengths")
        body = body[:-4]
        try:
            if kind == 1:
                if len(interfaces) == MAX_INTERFACES:
                    raise TraceError(f"{path.name}: more than {MAX_INTERFACES} interfaces")
                interfaces.append(_interface(order, body))
            elif kind == 6:
                which, high, low, captured, _ = struct.unpack_from(order + "IIIII", body)
                yield _packet(interfaces[which], high, low, body[20:], captured)
            elif kind == 2:
                which, _, high, low, captured, _ = struct.unpack_from(order + "HHIIII", body)
                yield _packet(interfaces[which], high, low, body[20:], captured)
            elif kind == 3:
                raise TraceError(f"{path.name}: block {number} is a packet without a time")
        except (struct.error, IndexError, ValueError, OverflowError):
            raise TraceError(f"{path.name}: block {number} of type {kind} does not follow the format") from None


def _interface(order: str, body: bytes) -> _Interface:
    linktype, _, snap = struct.unpack_from(order + "HHI", body)
    made = _Interface(linktype, snap=snap)
    position = 8
    while position + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, position)
        value = body[position + 4 : position + 4 + length]
        if code == 0 or len(value) < length:
            break
        if code == 9 and length == 1:  # if_tsresol
            made.unit = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
        elif code == 14 and length == 8:  # if_tsoffset
            made.offset = struct.unpack(order + "q", value)[0]
        position += 4 + length + -length % 4
    return made


def _packet(interface: _Interface, high: int, low: int, data: bytes, captured: int) -> Packet:
    if captured > len(data):
        raise ValueError
    return ((high << 32) | low) * interface.unit + interface.offset, interface.linktype, data[:captured]


# What is around IP.

_IPS: Final = {0x0800, 0x86DD}


def _ethernet(packet: bytes, at: int = 12) -> bytes | None:
    for _ in range(3):  # VLAN tags: at most one around another (IEEE 802.1ad)
        type = int.from_bytes(packet[at : at + 2], "big")
        if type in _IPS:
            return packet[at + 2 :]
        if type not in (0x8100, 0x88A8, 0x9100):
            return None
        at += 4
    return None


def _raw(packet: bytes) -> bytes | None:
    return packet


def _loopback(packet: bytes) -> bytes | None:
    """Four bytes of an address family, of the byte order and the numbers of the system that captured (AF_INET is 2
    everywhere, AF_INET6 is 10, 24, 28 or 30)."""
    family = packet[:4]
    number = int.from_bytes(family, "little") if family[3:] == b"\0" else int.from_bytes(family, "big")
    return packet[4:] if number in (2, 10, 24, 28, 30) else None


def _cooked(packet: bytes) -> bytes | None:
    return packet[16:] if int.from_bytes(packet[14:16], "big") in _IPS else None


def _cooked2(packet: bytes) -> bytes | None:
    return packet[20:] if int.from_bytes(packet[:2], "big") in _IPS else None


_LINKTYPES: Final[dict[int, Callable[[bytes], bytes | None]]] = {
    0: _loopback, 108: _loopback, 1: _ethernet, 12: _raw, 14: _raw, 101: _raw, 228: _raw, 229: _raw, 113: _cooked,
    276: _cooked2,
}  # fmt: skip

# IP and TCP.


def _tcp(time: float, ip: bytes) -> Segment | None:
    version = ip[0] >> 4 if ip else 0
    if version == 4:
        inner = _ipv4(ip)
    elif version == 6:
        inner = _ipv6(ip)
    else:
        return None
    if inner is None:
        return None
    source, target, start, end = inner
    if len(ip) < start + 14 or end < start + 20:
        return None
    begin = start + (ip[start + 12] >> 4) * 4
    if begin < start + 20 or begin > end:
        return None
    ports = struct.unpack_from(">HHI", ip, start)
    data, window = ip[begin:end], int.from_bytes(ip[start + 14 : start + 16], "big")
    return Segment(time, (source, ports[0]), (target, ports[1]), ports[2], ip[start + 13], end - begin, data, window)


def _ipv4(ip: bytes) -> tuple[str, str, int, int] | None:
    if len(ip) < 20:
        return None
    head = (ip[0] & 15) * 4
    total = int.from_bytes(ip[2:4], "big") or len(ip)  # 0: what the card will cut up (segmentation offload)
    if head < 20 or ip[9] != 6 or int.from_bytes(ip[6:8], "big") & 0x3FFF:
        return None
    return _name(ip[12:16]), _name(ip[16:20]), head, total


_EXTENSIONS: Final = {0, 43, 60}
"""Hop-by-hop, routing, destination options (RFC 8200 §4)."""


def _ipv6(ip: bytes) -> tuple[str, str, int, int] | None:
    if len(ip) < 40:
        return None
    length = int.from_bytes(ip[4:6], "big")
    end = 40 + length if length else len(ip)
    kind, at = ip[6], 40
    while kind in _EXTENSIONS:
        if at + 8 > len(ip):
            return None
        kind, at = ip[at], at + 8 + ip[at + 1] * 8
    return (_name(ip[8:24]), _name(ip[24:40]), at, end) if kind == 6 else None


_names: dict[bytes, str] = {}


def _name(packed: bytes) -> str:
    known = _names.get(packed)
    if known is None:
        if len(_names) > 65_536:  # a scan of everybody must not fill memory
            _names.clear()
        known = _names[packed] = str(ipaddress.ip_address(packed))
    return known
