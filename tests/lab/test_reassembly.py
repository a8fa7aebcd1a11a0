from __future__ import annotations

import random
from pathlib import Path

import pytest
from packets import CLIENT, SERVER, SYN, Session, ethernet, ip, pcap, tls

from quietwire.lab.pcap import segments
from quietwire.lab.reassembly import EARLY_SEGMENTS, TYPES, Connection, Records, connections

HELLO, DONE, DATA = tls(22, 512), tls(20, 1), tls(23, 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pcap"


def read(path: Path, packets: list[tuple[float, bytes]], snap: int = 0) -> list[Connection]:
    path.write_bytes(pcap([(time, ethernet(packet)) for time, packet in packets], nano=True, snap=snap))
    return connections(segments(path))


def seen(records: Records) -> list[tuple[str, int]]:
    return [(TYPES[type], size) for type, size in zip(records.types, records.sizes, strict=True)]


def spoken() -> Session:
    """STARTTLS: packets 2 and 3 are plain, then TLS; sequence numbers wrap on the way."""
    session = Session().opens().says(CLIENT, b"<stream:stream>").says(SERVER, b"<proceed/>")
    session.says(CLIENT, HELLO).says(SERVER, HELLO + DONE + DATA, cut=100)
    return session.says(CLIENT, DONE + DATA + DATA, cut=7).says(SERVER, DATA)


UP = [("plain", 15), ("handshake", 512), ("ccs", 1), ("app", 200), ("app", 200)]
DOWN = [("plain", 10), ("handshake", 512), ("ccs", 1), ("app", 200), ("app", 200)]


def test_records_and_their_times(path: Path) -> None:
    (one,) = read(path, spoken().packets)
    assert one.name == "192.0.2.1:40000>198.51.100.7:5222"
    assert (seen(one.up.records), seen(one.down.records)) == (UP, DOWN)
    # A record is there when its header is: the second `app` of the client, header from byte 205+6 of cuts of 7.
    cuts = [time for time, packet in spoken().packets if len(packet) == 51]
    assert one.up.records.times[-1] == pytest.approx(cuts[(6 + 205 + 4) // 7])
    assert list(one.up.records.times) == sorted(one.up.records.times)


def test_a_header_may_be_cut_anywhere(path: Path) -> None:
    for cut in range(1, 12):
        (one,) = read(path, Session().opens().says(CLIENT, HELLO + DATA, cut=cut).packets)
        assert seen(one.up.records) == UP[1:2] + UP[3:4]


def test_order_and_repetitions_do_not_matter(path: Path) -> None:
    session = spoken()
    rng = random.Random(3)
    for _ in range(30):
        # The dialling and the prelude in order; then everything up to 20 places too late, much of it twice.
        tail = session.packets[4:]
        mixed = sorted(range(len(tail)), key=lambda n: n + rng.uniform(0, 20))
        packets = session.packets[:4] + [tail[n] for n in mixed for _ in range(rng.choice((1, 1, 2)))]
        packets = [(1000.0 + n, packet) for n, (_, packet) in enumerate(packets)]
        (one,) = read(path, packets)
        assert (seen(one.up.records), seen(one.down.records)) == (UP, DOWN)


def test_a_retransmission_that_begins_earlier_and_goes_on_longer(path: Path) -> None:
    session = Session().opens()
    start = session.seq[CLIENT]
    whole = HELLO + DATA + DATA
    for n, (begin, end) in enumerate([(0, 300), (100, 600), (0, len(whole)), (50, 60)]):
        session.packets.append((2000.0 + n, ip(CLIENT, SERVER, start + begin, whole[begin:end])))
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("handshake", 512), ("app", 200), ("app", 200)]
    assert list(one.up.records.times) == [2000.0, 2001.0, 2002.0]


def test_a_hole_inside_of_a_record_does_no_harm(path: Path) -> None:
    session = Session().opens().says(CLIENT, HELLO + DATA + DATA, cut=100)
    del session.packets[4]  # bytes 200 to 300, of the first record's 512
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("handshake", 512), ("app", 200), ("app", 200)]


def test_after_a_hole_around_a_header_the_next_one_at_a_segments_beginning_is_found(path: Path) -> None:
    session = Session().opens().says(CLIENT, HELLO).says(CLIENT, DATA + b"")
    session.says(CLIENT, DATA[:100]).says(CLIENT, DATA[100:]).says(CLIENT, DATA)
    del session.packets[4]
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("handshake", 512), ("app", 200), ("other", 105), ("app", 200)]


def test_a_capture_that_begins_in_the_middle(path: Path) -> None:
    (one,) = read(path, Session().says(SERVER, DATA).says(CLIENT, DATA).packets)
    assert one.initiator == CLIENT  # the server's port is known
    assert (seen(one.up.records), seen(one.down.records)) == ([("app", 200)], [("app", 200)])
    server = ("198.51.100.7", 1234)
    (one,) = read(path, Session(server=server).says(server, DATA).packets)
    assert one.initiator == CLIENT  # the higher port is the one that nobody chose
    (one,) = read(path, Session().opens().packets[1:])
    assert one.initiator == CLIENT  # who answers a SYN was dialled


def test_what_is_no_tls_counts_by_segments(path: Path) -> None:
    session = Session().opens().says(CLIENT, b"GET / HTTP/1.1\r\n\r\n").says(SERVER, bytes(4000), cut=1400)
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("plain", 18)]
    assert seen(one.down.records) == [("plain", 1400), ("plain", 1400), ("plain", 1200)]


def test_what_only_begins_like_a_record(path: Path) -> None:
    session = Session().opens().says(CLIENT, b"\x16").says(CLIENT, b"\x03 no").says(CLIENT, b"\x16\x03\x01\xff\xff")
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("plain", 5), ("plain", 5)]
    session = Session().opens().says(CLIENT, HELLO + b"nonsense").says(CLIENT, b"more").says(CLIENT, DATA)
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("handshake", 512), ("other", 8), ("other", 4), ("app", 200)]


def test_packets_of_which_only_the_beginning_was_kept(path: Path) -> None:
    session = Session().opens().says(CLIENT, HELLO).says(CLIENT, DATA + DATA).says(CLIENT, DATA)
    kept = 14 + 20 + 24 + 20
    (one,) = read(path, session.packets, snap=kept)
    assert seen(one.up.records) == [("handshake", 512), ("app", 200), ("app", 200)]
    (one,) = read(path, session.packets, snap=14 + 20 + 24)
    assert seen(one.up.records) == [("plain", 517), ("plain", 410), ("plain", 205)]


def test_a_port_used_again_is_another_connection(path: Path) -> None:
    first = Session().opens().says(CLIENT, DATA)
    again = Session(isn=77, at=2000.0).opens().says(CLIENT, HELLO)
    first.packets.insert(1, first.packets[0])  # its SYN twice is not
    one, two = read(path, first.packets + again.packets)
    assert two.name == one.name + "#2"
    assert (seen(one.up.records), seen(two.up.records)) == ([("app", 200)], [("handshake", 512)])


def test_a_refusal_is_no_connection(path: Path) -> None:
    assert read(path, [(1.0, ip(SERVER, CLIENT, 0, b"", 4))]) == []


def test_keep_alives_say_nothing(path: Path) -> None:
    session = Session().opens().says(CLIENT, DATA)
    session.packets.append((3000.0, ip(CLIENT, SERVER, session.seq[CLIENT] - 1, b"\0")))
    (one,) = read(path, session.packets)
    assert seen(one.up.records) == [("app", 200)]
    assert one.ended == 3000.0


def test_what_waits_is_bounded(path: Path) -> None:
    session = Session().opens()
    start = session.seq[CLIENT]
    packets = session.packets + [
        (2000.0 + n, ip(CLIENT, SERVER, start + 1000 + 10 * n, b"0123456789")) for n in range(EARLY_SEGMENTS + 500)
    ]
    (one,) = read(path, packets)
    assert sum(one.up.records.sizes) == 10 * (EARLY_SEGMENTS + 500)


def test_random_segments_are_taken_without_a_word(path: Path) -> None:
    rng = random.Random(9)
    for _ in range(60):
        packets = []
        for n in range(80):
            ends = (CLIENT, SERVER) if rng.random() < 0.5 else (SERVER, CLIENT)
            data = rng.choice((DATA, HELLO[:90], b"", bytes(rng.randrange(60)), rng.randbytes(40)))
            flags = rng.choice((16, 16, 24, SYN, 18, 1, 4))
            packets.append(
                (1000.0 + n, ip(*ends, rng.randrange(2000) if rng.random() < 0.9 else rng.getrandbits(32), data, flags))
            )
        for one in read(path, packets):
            assert all(size >= 0 for side in (one.up, one.down) for size in side.records.sizes)
