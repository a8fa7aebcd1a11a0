from __future__ import annotations

import base64

import pytest
from wire import (
    SHARE,
    Arrivals,
    Keys,
    Letter,
    RoomArrivals,
    Scanner,
    header,
    percentile,
    scram_final,
    scram_first,
)

from quietwire.lab.range.hosts import stored_keys

STREAM = (
    b"<r xmlns='urn:xmpp:sm:3'/><presence from='u0@localhost/r1'/><presence from='a@b/c'><c xmlns='caps'/></presence>"
    b'<iq id="ready" type="result"/><r xmlns="urn:xmpp:sm:3"/>'
    b"<message from='u0@localhost/r0' id='1'><body>T@0000000000000000123@00000007xxx</body>"
    b"<active xmlns='x'/></message>"
    b"<a xmlns='urn:xmpp:sm:3' h='10'/><a h=\"11\" xmlns='urn:xmpp:sm:3'/><r/>"
    b"<message from='u1@localhost'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
    b"<message><body>T@0000000000000000456@00000008xxx</body></message></forwarded></sent></message>"
    b"<r xmlns='urn:xmpp:sm:3'/><message type='error'><request xmlns='urn:xmpp:receipts'/></message><r/>"
)
MESSAGES = [(123, 7), (456, 8)]
GIVEN = [10, 11]
OWED = [0, 3, 4, 5, 6]


def test_the_client_computes_the_proof_and_signature_of_rfc_5802() -> None:
    first = scram_first("user", "fyko+d2lbbFgONRv9qkxdawL")
    challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    final, signature = scram_final(Keys(b"pencil"), first, challenge)
    assert first == b"n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    assert final == b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert signature == b"rmF9pqV8S7suAoZWja4dJRkFsKQ="


def test_stored_keys_verify_the_proof_of_rfc_5802() -> None:
    stored, server = stored_keys(b"pencil", base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert base64.b64encode(stored) == b"6dlGYMOdZcOPutkcNY8U2g7vK9Y="
    assert base64.b64encode(server) == b"D+CSWLOshSulAsxiupA+qs2/fTE="


def test_a_salted_password_is_computed_once() -> None:
    keys = Keys(b"pw")
    assert keys.salted(b"salt", 1) is keys.salted(b"salt", 1)
    assert keys.salted(b"salt", 1) != keys.salted(b"salt", 2)


def test_the_header_names_the_host_and_declares_both_namespaces() -> None:
    assert header(b"h.example").endswith(b" to='h.example' version='1.0'>")
    assert b"xmlns='jabber:client'" in header(b"h")


@pytest.mark.parametrize("rich", [False, True])
def test_what_a_letter_writes_is_what_the_scanner_reads(rich: bool) -> None:
    scanner = Scanner()
    letter = Letter(b"u1@localhost", rich)
    written = letter.written(123456789, 42)
    assert scanner.feed(written) == ([(123456789, 42)], [], [])
    assert scanner.handled == 1
    body = written.partition(b"<body>")[2].partition(b"</body>")[0]
    assert len(body) == 100
    assert (b"urn:xmpp:receipts" in written) is rich


def test_the_scanner_reads_and_counts_a_stream() -> None:
    scanner = Scanner()
    assert scanner.feed(STREAM) == (MESSAGES, GIVEN, OWED)
    assert scanner.handled == 6


def test_every_cut_gives_the_same() -> None:
    for cut in range(1, len(STREAM)):
        scanner = Scanner()
        first, second = scanner.feed(STREAM[:cut]), scanner.feed(STREAM[cut:])
        assert [list(a) + list(b) for a, b in zip(first, second, strict=True)] == [MESSAGES, GIVEN, OWED], cut
        assert scanner.handled == 6


def test_byte_by_byte_gives_the_same() -> None:
    scanner = Scanner()
    owed = [h for i in range(len(STREAM)) for h in scanner.feed(STREAM[i : i + 1])[2]]
    assert owed == OWED


def test_h_wraps_at_2_to_the_32() -> None:
    scanner = Scanner(handled=0xFFFFFFFF)
    assert scanner.feed(b"<presence/><r/>")[2] == [0]


def test_arrivals_notice_what_is_doubled_or_skipped() -> None:
    arrivals = Arrivals()
    for number in (0, 1, 1, 4, 2):
        arrivals.note(number)
    assert (arrivals.seen, arrivals.doubled, arrivals.skipped) == (5, 2, 2)


def test_percentiles_are_in_ms_and_none_of_nothing() -> None:
    values = [n * 1_000_000 for n in range(1, 101)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 100.0
    assert percentile(values, 1.0) == 100.0
    assert percentile([], 0.5) is None


def test_in_a_room_each_sender_has_an_order_of_its_own() -> None:
    arrivals = RoomArrivals([Arrivals(), Arrivals()])
    first, second = (Letter(b"r@c", kind=b"groupchat", base=k * SHARE) for k in range(2))
    stanzas = [second.written(1, 0), first.written(2, 0), second.written(3, 1), second.written(4, 1)]
    for _, number in Scanner().feed(b"".join(stanzas))[0]:
        arrivals.note(number)
    assert (arrivals.seen, arrivals.doubled, arrivals.skipped) == (3, 1, 0)
    assert b"type='groupchat'" in stanzas[0]
