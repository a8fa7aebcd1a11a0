"""A client's stream where it is not what everybody writes; the rest is in `tests/scenarios`."""

from __future__ import annotations

import zlib

import pytest

from quietwire.core import ns
from quietwire.shaping.frames import DICTIONARY, MARK, MOST, pack
from quietwire.testing.playbook import Playbook, closed, nothing

HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>"
STARTTLS = f"<starttls xmlns='{ns.TLS}'/>"
PROCEED = f"<proceed xmlns='{ns.TLS}'/>"
AUTH = f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
BIND = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>"


def error(condition: str) -> str:
    return f"<stream:error _='...'><{condition} xmlns='{ns.STREAM_ERRORS}'/></stream:error>"


def test_starttls() -> None:
    play = Playbook(accounts=["alice"])
    client = play.connect(secure=False)
    client >> HEADER
    client << f"<stream:features><starttls xmlns='{ns.TLS}'><required/></starttls></stream:features>"
    client >> STARTTLS
    client << PROCEED
    assert client.link.secure
    client.authenticate("alice").bind("phone")


def test_nothing_is_taken_without_tls() -> None:
    client = Playbook(accounts=["alice"]).connect(secure=False)
    client >> HEADER
    client.take()
    client >> AUTH
    client << error("policy-violation")
    client << closed


def test_plaintext_sent_along_with_the_request_for_tls_is_thrown_away() -> None:
    play = Playbook(accounts=["alice"])
    client = play.connect(secure=False)
    client >> HEADER + STARTTLS + STARTTLS + AUTH
    client << "<stream:features _='...'/>"
    client << PROCEED
    client << nothing
    client.authenticate("alice")


def test_stanzas_that_come_along_with_the_login_are_not_taken() -> None:
    client = Playbook(accounts=["alice"]).connect().header()
    client >> AUTH + BIND
    client << f"<success xmlns='{ns.SASL}'/>"
    client << error("bad-format")
    client << closed


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        (HEADER.replace("jabber:client", "jabber:server"), "invalid-namespace"),
        (HEADER.replace("1.0", "0.9"), "unsupported-version"),
        (HEADER.replace(" version='1.0'", ""), "unsupported-version"),
        (HEADER.replace(" to='a.example'", ""), "host-unknown"),
        (HEADER.replace("a.example", "@@"), "host-unknown"),
        ("GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        ("<html>", "bad-format"),
    ],
)
def test_headers(header: str, condition: str) -> None:
    client = Playbook().connect()
    client >> header
    client << error(condition)
    client << closed


def test_a_domain_in_other_letters() -> None:
    client = Playbook().connect()
    client >> HEADER.replace("a.example", "A.Example")
    client << "<stream:features _='...'/>"


def test_time_to_log_in() -> None:
    play = Playbook(accounts=["alice"])
    silent, unbound, bound = play.connect(), play.connect().authenticate("alice"), play.client("alice/phone")
    play.pass_time(play.server.settings.unauthenticated_seconds - 1)
    silent << nothing
    play.pass_time(2)
    silent << error("connection-timeout")
    silent << closed
    unbound << error("connection-timeout")
    bound << nothing


def test_bytes_before_login() -> None:
    client = Playbook(unauthenticated_bytes=1_000).connect()
    client >> HEADER
    client.take()
    client >> " " * 1_000
    client << error("policy-violation")
    client << closed


def test_a_client_that_never_reads_costs_nobody_else_anything() -> None:
    play = Playbook(accounts=["alice", "bob"], outbox_bytes=20_000)
    alice, bob, well = (play.client(name, "<presence/>") for name in ("alice/phone", "bob/stuck", "bob/well"))
    play.quiet()
    bob.reads = False
    sent = 0
    while not bob.link.gone:
        alice >> f"<message to='bob@a.example' type='chat'><body>{sent} {'x' * 1_000}</body></message>"
        sent += 1
        assert sent < 100
    assert bob.link.aborted
    assert len(well.take()) >= sent
    assert ("stream-error", {"condition": "policy-violation"}) in play.notes
    bob.stream.overflow()  # the connection may find the same again before it is gone
    assert [event for event, _ in play.notes].count("stream-outbox-full") == 1
    alice << nothing


def test_messages_that_a_lost_device_did_not_get_wait_for_the_next() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), play.client("bob/desk", "<presence/>")
    bob.reads = False
    alice >> "<message to='bob@a.example' type='chat'><body>lost?</body></message>"
    bob.cut()
    again = play.client("bob/again")
    again >> "<presence/>"
    again << "<presence _='...'/>"
    again << "<message _='...'><body>lost?</body></message>"
    again.cut()
    play.client("bob/third", "<presence/>") << nothing


def test_nonzas() -> None:
    play = Playbook(accounts=["alice"])
    for xml, condition in (
        ("<a xmlns='urn:unknown'/>", "unsupported-stanza-type"),
        ("<a xmlns='urn:xmpp:sm:3' h='x'/>", "policy-violation"),
        ("<stream:features/>", "unsupported-stanza-type"),
        (HEADER, "bad-format"),
    ):
        client = play.client("alice/phone")
        client >> xml
        client << error(condition)
        client << closed


def test_a_stream_error_of_the_client_ends_its_stream() -> None:
    play = Playbook(accounts=["alice"])
    for client in (play.client("alice/phone"), play.connect().header()):
        client >> f"<stream:error><undefined-condition xmlns='{ns.STREAM_ERRORS}'/></stream:error>"
        client << closed
        client << nothing


def test_binding() -> None:
    play = Playbook(accounts=["alice"], sessions_per_account=2)
    client = play.connect().authenticate("alice")
    client >> f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'><resource>{'x' * 1_100}</resource></bind></iq>"
    client << f"<iq type='error' id='1'><error type='modify'><bad-request xmlns='{ns.STANZAS}'/></error></iq>"
    client >> BIND
    client << f"<iq type='result' id='b'><bind xmlns='{ns.BIND}'><jid>alice@a.example/{{*}}</jid></bind></iq>"
    play.client("alice/second")
    third = play.connect().authenticate("alice")
    third >> BIND
    third << f"<iq type='error' id='b'><error type='wait'><resource-constraint xmlns='{ns.STANZAS}'/></error></iq>"


def test_0198_before_binding() -> None:
    client = Playbook(accounts=["alice"]).connect().authenticate("alice")
    client >> "<enable xmlns='urn:xmpp:sm:3'/>"
    client << f"<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='{ns.STANZAS}'/></failed>"


def test_0198_asked_before_it_is_switched_on_costs_no_stream() -> None:
    client = Playbook(accounts=["alice"]).client("alice/phone")
    client >> "<r xmlns='urn:xmpp:sm:3'/>"
    client << f"<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='{ns.STANZAS}'/></failed>"
    client >> "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    client << "<iq type='result' id='1' to='alice@a.example/phone'/>"


def test_a_second_connection_takes_over_a_session() -> None:
    play = Playbook(accounts=["alice"])
    old = play.client("alice/phone")
    old >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    old << "<enabled xmlns='urn:xmpp:sm:3' id='{id}' _='...'/>"
    new = play.connect().authenticate("alice")
    new >> f"<resume xmlns='urn:xmpp:sm:3' previd='{play.known['id']}' h='0'/>"
    new << "<resumed xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"
    old << error("conflict")
    old << closed
    new >> "<iq type='get' id='p' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"
    new << "<iq type='result' id='p' _='...'/>"


PING = b"<iq type='get' id='%d' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"


def framed(text: bytes) -> bytes:
    """As `pack`, whatever comes of it."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -13, zdict=DICTIONARY)
    packed = packing.compress(text) + packing.flush()
    return MARK + len(packed).to_bytes(3, "big") + packed


def test_a_peer_that_may_pack() -> None:
    client = Playbook(accounts=["alice"]).connect().authenticate("alice").bind("phone")
    client.stream.unpack()
    client.stream.unpack()
    said = [PING % number for number in range(6)]
    client >> b"  " + pack(said[0]) + pack(said[1]) + said[2] + b"   " + pack(said[3]) + said[4] + b" "
    for number in range(5):
        client << f"<iq type='result' id='{number}' _='...'/>"
    assert client.link.held == sum(len(said[number]) for number in (0, 1, 3))
    wire = said[0] + pack(said[5])
    for at in range(len(wire)):
        client >> wire[at : at + 1]
    client << "<iq type='result' id='0' _='...'/>"
    client << "<iq type='result' id='5' _='...'/>"
    client >> pack(said[0]) + b"</stream:stream>"
    client << "<iq type='result' id='0' _='...'/>"
    client << closed


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<iq type='get' id='1'>" + pack(PING % 1) + b"</iq>", "not-well-formed"),
        (b"<iq type='get'" + pack(PING % 1), "not-well-formed"),
        (framed((PING % 1)[:-5]), "not-well-formed"),
        (framed((PING % 1) + b"</stream:stream>"), "not-well-formed"),
        (framed((PING % 1).replace(b"urn:xmpp:ping'", b"urn:xmpp:ping' a='\1'")), "not-well-formed"),
        (MARK + b"\0\0\3abc", "not-well-formed"),
        (MARK + (MOST + 1).to_bytes(3, "big"), "policy-violation"),
        (framed(b"<message>" + b" " * MOST + b"</message>"), "policy-violation"),
    ],
    ids=("in a stanza", "in a tag", "a part", "the end", "a frame's mark", "no data",
         "too long", "a bomb"),
)  # fmt: skip
def test_frames_that_are_none(data: bytes, condition: str) -> None:
    client = Playbook(accounts=["alice"]).connect().authenticate("alice").bind("phone")
    client.stream.unpack()
    client >> data
    client << error(condition)
    client << closed


@pytest.mark.parametrize(
    ("rest", "condition"), [(b"some text that is outside", "bad-format"), (b"<!-- and -->" * 2, "restricted-xml")]
)
def test_what_is_wrong_after_a_stanza_is_wrong_in_a_frame(rest: bytes, condition: str) -> None:
    for data in ((PING % 1) + rest, framed((PING % 1) + rest)):
        client = Playbook(accounts=["alice"]).connect().authenticate("alice").bind("phone")
        client.stream.unpack()
        client >> data
        client << "<iq type='result' id='1' _='...'/>"
        client << error(condition)
        client << closed


def test_no_frames_for_whoever_has_not_asked() -> None:
    client = Playbook(accounts=["alice"]).connect().authenticate("alice").bind("phone")
    client >> pack(PING % 1)
    client << error("not-well-formed")
    client << closed
