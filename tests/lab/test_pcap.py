from __future__ import annotations

import contextlib
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from packets import (
    ACK,
    CLIENT,
    CLIENT6,
    PUSH,
    SERVER,
    SERVER6,
    Session,
    block,
    ethernet,
    ip,
    pcap,
    pcapng,
)

from quietwire.lab.pcap import MAX_PACKET, Segment, is_capture, segments
from quietwire.lab.trace import TraceError

HELLO = ip(CLIENT, SERVER, 7, b"hello", ACK | PUSH)
HELLO6 = ip(CLIENT6, SERVER6, 7, b"hello", ACK | PUSH)
TIME = 1_700_000_000.25


def read(path: Path, content: bytes) -> list[Segment]:
    path.write_bytes(content)
    return list(segments(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pcap"


def is_hello(found: list[Segment], source: tuple[str, int] = CLIENT, target: tuple[str, int] = SERVER) -> bool:
    return found == [Segment(pytest.approx(TIME, abs=1e-6), source, target, 7, ACK | PUSH, 5, b"hello")]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_of_both_orders_and_units(path: Path, order: str, nano: bool) -> None:
    assert is_hello(read(path, pcap([(TIME, ethernet(HELLO))], order, nano=nano)))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("resolution", "offset"), [(6, 0), (9, 0), (3, 0), (0x80 | 20, 0), (6, 1_600_000_000)])
def test_pcapng_of_both_orders_and_any_unit(path: Path, order: str, resolution: int, offset: int) -> None:
    content = pcapng([(TIME, ethernet(HELLO))], order, resolution=resolution, offset=offset)
    assert is_hello(read(path, content))


def test_a_second_section_has_interfaces_and_an_order_of_its_own(path: Path) -> None:
    content = pcapng([(TIME, ethernet(HELLO))], "<") + pcapng([(TIME, HELLO)], ">", linktype=101)
    assert len(read(path, content)) == 2


def test_the_obsolete_packet_block(path: Path) -> None:
    packet = ethernet(HELLO)
    ticks = round(TIME * 1e6)
    old = struct.pack("<HHIIII", 0, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)) + packet
    assert is_hello(read(path, pcapng([]) + block("<", 2, old)))


@pytest.mark.parametrize(
    ("linktype", "around"),
    [
        (1, ethernet(HELLO)),
        (1, ethernet(HELLO, vlan=2)),
        (0, b"\x02\0\0\0" + HELLO),
        (0, b"\0\0\0\x02" + HELLO),
        (108, b"\0\0\0\x02" + HELLO),
        (101, HELLO),
        (12, HELLO),
        (228, HELLO),
        (113, bytes(14) + b"\x08\0" + HELLO),
        (276, b"\x08\0" + bytes(18) + HELLO),
    ],
)
def test_what_is_around_ip(path: Path, linktype: int, around: bytes) -> None:
    assert is_hello(read(path, pcap([(TIME, around)], linktype=linktype)))


@pytest.mark.parametrize("extension", [False, True])
def test_ipv6(path: Path, extension: bool) -> None:
    packet = ip(CLIENT6, SERVER6, 7, b"hello", ACK | PUSH, extension=extension)
    assert is_hello(read(path, pcap([(TIME, ethernet(packet))])), CLIENT6, SERVER6)
    assert is_hello(read(path, pcap([(TIME, b"\x1e\0\0\0" + packet)], linktype=0)), CLIENT6, SERVER6)


def test_padding_of_ethernet_is_no_payload(path: Path) -> None:
    assert is_hello(read(path, pcap([(TIME, ethernet(HELLO) + bytes(6))])))


def test_a_packet_that_was_not_kept_whole_tells_its_length(path: Path) -> None:
    packet = ethernet(ip(CLIENT, SERVER, 7, bytes(1000)))
    (found,) = read(path, pcap([(TIME, packet)], snap=100))
    assert (found.length, len(found.data)) == (1000, 100 - 14 - 44 + 20 - 20)


def test_what_is_no_tcp_is_passed_over(path: Path) -> None:
    udp = bytearray(HELLO)
    udp[9] = 17
    fragment = bytearray(HELLO)
    fragment[6:8] = b"\0\x03"
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    junk = [bytes(udp), bytes(fragment), HELLO[:30], b"\x45" + bytes(3), HELLO6[:50], b"\x75" + HELLO[1:]]
    assert read(path, pcap([(TIME, arp), (TIME, b""), *((TIME, ethernet(one)) for one in junk)])) == []


def test_lengths_that_contradict_each_other_are_passed_over(path: Path) -> None:
    short_head = bytearray(HELLO)
    short_head[32] = 0x10
    long_head = bytearray(HELLO)
    long_head[32] = 0xF0
    assert read(path, pcap([(TIME, ethernet(bytes(one))) for one in (short_head, long_head)])) == []


def test_a_capture_that_is_cut_off_is_read_as_far_as_it_is_whole(path: Path) -> None:
    for whole in (pcap([(TIME, ethernet(HELLO))] * 2), pcapng([(TIME, ethernet(HELLO))] * 2)):
        one = len(read(path, whole[:-1]))
        assert one == 1
        assert read(path, whole[:-20])[0].data == b"hello"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither pcap nor pcapng"),
        (b"GIF89a" + bytes(90), "neither pcap nor pcapng"),
        (pcap([])[:20], "cut off in its header"),
        (b"\xd4\xc3\xb2\xa1\x07" + pcap([])[5:], "version 7"),
        (pcap([(TIME, HELLO)], linktype=147), "link type 147"),
        (pcap([]) + struct.pack("<IIII", 1, 0, MAX_PACKET + 1, 5), "packet 1 has 262145 bytes"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0abcd" + bytes(30), "unknown byte order"),
        (pcapng([])[:-4] + bytes(4), "two lengths"),
        (pcapng([]) + struct.pack("<II", 6, 9), "block 4 says it has 9 bytes"),
        (pcapng([]) + struct.pack("<II", 6, 1 << 30), "block 4 says it has"),
        (pcapng([]) + block("<", 6, bytes(8)), "block 4 of type 6 does not follow"),
        (pcapng([]) + block("<", 6, struct.pack("<IIIII", 3, 0, 0, 0, 0)), "block 4 of type 6 does not follow"),
        (pcapng([]) + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "block 4 of type 6 does not follow"),
        (pcapng([]) + block("<", 3, bytes(8)), "without a time"),
        (pcapng([]) + block("<", 6, struct.pack("<IIIII", 0, 1 << 31, 0, 0, 0)), "of the time"),
    ],
)
def test_what_follows_no_format_is_one_line(path: Path, content: bytes, why: str) -> None:
    with pytest.raises(TraceError, match=why) as caught:
        read(path, content)
    assert "\n" not in str(caught.value)


def test_is_capture() -> None:
    assert all(is_capture(content[:4]) for content in (pcap([]), pcap([], ">", nano=True), pcapng([], ">")))
    assert not is_capture(b'{"tr')
    assert not is_capture(b"")


def test_any_damage_has_a_defined_answer(path: Path) -> None:
    session = Session().opens().says(CLIENT, bytes(300)).says(SERVER, bytes(50))
    frames = [(time, ethernet(packet)) for time, packet in session.packets]
    rng = random.Random(5)
    for whole in (pcap(frames), pcapng(frames, ">"), pcap(frames, linktype=113)):
        for _ in range(400):
            damaged = bytearray(whole[: rng.randrange(len(whole) + 1)])
            for _ in range(rng.randrange(1, 9)):
                if damaged:
                    damaged[rng.randrange(len(damaged))] = rng.choice((0, 255, rng.randrange(256)))
            path.write_bytes(damaged)
            with contextlib.suppress(TraceError):
                for one in segments(path):
                    assert one.length >= len(one.data)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("order", "<>")
def test_tcpdump_reads_the_captures_of_these_tests_as_we_do(path: Path, order: str) -> None:
    packets = [(TIME, ethernet(HELLO)), (TIME + 1.5, ethernet(HELLO6, vlan=1))]
    for content in (pcap(packets, order), pcap(packets, order, nano=True), pcapng(packets, order, resolution=9)):
        ours = read(path, content)
        command = ["tcpdump", "-tt", "-n", "-r", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert len(told) == len(ours) == 2
        for line, one in zip(told, ours, strict=True):
            assert float(line.split()[0]) == pytest.approx(one.time, abs=1e-5)
            assert f"{one.source[0]}.{one.source[1]} > {one.target[0]}.{one.target[1]}" in line
            assert f"length {one.length}" in line
