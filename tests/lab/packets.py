"""Captures made by hand: IP and TCP around payloads, pcap and pcapng around packets."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence

SYN, ACK, FIN, PUSH, RST = 2, 16, 1, 8, 4
CLIENT, SERVER = ("192.0.2.1", 40_000), ("198.51.100.7", 5222)
CLIENT6, SERVER6 = ("2001:db8::1", 40_000), ("2001:db8::7", 5222)

Address = tuple[str, int]


def tls(kind: int, size: int) -> bytes:
    """A record with its header."""
    return bytes((kind, 3, 3)) + size.to_bytes(2, "big") + bytes(size)


def ip(
    source: Address, target: Address, seq: int, data: bytes = b"", flags: int = ACK, *, extension: bool = False
) -> bytes:
    """IPv4 or IPv6, whatever the addresses are."""
    tcp = (
        struct.pack(">HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, 0, 0x60, flags, 1024, 0, 0) + bytes(4) + data
    )
    here, there = (ipaddress.ip_address(name).packed for name in (source[0], target[0]))
    if len(here) == 4:
        return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + here + there + tcp
    body = (bytes((6, 0)) + bytes(6) + tcp) if extension else tcp
    return struct.pack(">IHBB", 6 << 28, len(body), 0 if extension else 6, 64) + here + there + body


def ethernet(packet: bytes, vlan: int = 0) -> bytes:
    type = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    tags = b"".join(struct.pack(">HH", 0x8100, n) for n in range(vlan))
    return bytes(12) + tags + struct.pack(">H", type) + packet


def pcap(
    packets: Iterable[tuple[float, bytes]], order: str = "<", *, nano: bool = False, linktype: int = 1, snap: int = 0
) -> bytes:
    unit = 1e9 if nano else 1e6
    whole = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65_535, linktype)
    for time, packet in packets:
        kept = packet[:snap] if snap else packet
        second = int(time)
        fraction = min(round((time - second) * unit), int(unit) - 1)
        whole += struct.pack(order + "IIII", second, fraction, len(kept), len(packet)) + kept
    return whole


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def pcapng(
    packets: Sequence[tuple[float, bytes]], order: str = "<", *, resolution: int = 6, linktype: int = 1, offset: int = 0
) -> bytes:
    """`resolution`: as if_tsresol has it."""
    options = struct.pack(order + "HHB3x", 9, 1, resolution) + struct.pack(order + "HHq", 14, 8, offset) + bytes(4)
    unit = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    whole = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    whole += block(order, 5, b"")  # statistics, to be passed over
    whole += block(order, 1, struct.pack(order + "HHI", linktype, 0, 0) + options)
    for time, packet in packets:
        ticks = round((time - offset) * unit)
        head = struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
        whole += block(order, 6, head + packet)
    return whole


class Session:
    """A connection whose packets are put together by `says`; `packets` are (time, IP packet)."""

    def __init__(
        self, client: Address = CLIENT, server: Address = SERVER, isn: int = 0xFFFFFF00, at: float = 1000.0
    ) -> None:
        self.client, self.server, self.now = client, server, at
        self.seq = {client: isn, server: isn ^ 0x5555}
        self.packets: list[tuple[float, bytes]] = []

    def opens(self) -> Session:
        for who, flags in ((self.client, SYN), (self.server, SYN | ACK)):
            self._put(who, b"", flags)
            self.seq[who] += 1
        return self

    def says(self, who: Address, data: bytes, *, cut: int = 0) -> Session:
        for begin in range(0, len(data), cut or len(data)):
            part = data[begin : begin + (cut or len(data))]
            self._put(who, part, ACK | PUSH)
            self.seq[who] += len(part)
        return self

    def _put(self, who: Address, data: bytes, flags: int) -> None:
        other = self.server if who == self.client else self.client
        self.packets.append((self.now, ip(who, other, self.seq[who], data, flags)))
        self.now += 0.25
