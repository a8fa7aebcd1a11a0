"""What passes between two streams, what is taken out of it, and how it ends. No I/O: both ends are lists."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import StreamOpen, StreamParser
from quietwire.core.relay import (
    CLOSING,
    STRANGER_BYTES,
    Relay,
    binds,
    channel_types,
    error,
    greeting,
    mechanisms,
    passed,
    without_bindings,
)
from quietwire.core.stanza import Child, Iq, Message
from quietwire.core.xml import parse

SASL2 = "urn:xmpp:sasl:2"
UP = (
    b"<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
DOWN = UP.replace(b"to=", b"id='x' from=")
PLUS = f"""<stream:features>
<starttls xmlns='{ns.TLS}'/>
<compression xmlns='http://jabber.org/features/compress'><method>zlib</method></compression>
<mechanisms xmlns='{ns.SASL}'><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism>
<mechanism>EXTERNAL</mechanism><mechanism>X-OAUTH2</mechanism></mechanisms>
<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>
<channel-binding type='tls-server-end-point'/></sasl-channel-binding>
<authentication xmlns='{SASL2}'><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism>
<inline><fast xmlns='urn:xmpp:fast:0' tls-0rtt='true'><mechanism>HT-SHA-256-ENDP</mechanism>
<mechanism>HT-SHA-256-NONE</mechanism></fast>
<bind xmlns='urn:xmpp:bind:0'><inline><feature var='{ns.SM}'/></inline></bind>
</inline></authentication>
<register xmlns='http://jabber.org/features/iq-register'/></stream:features>""".encode()
PLAIN_ONLY = (
    f"<stream:features><mechanisms xmlns='{ns.SASL}'><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>"
    f"</mechanisms></stream:features>"
).encode()


class World:
    def __init__(self, *, domain: str = "a.example", logs_in: bool = True, spaces: bool = False) -> None:
        self.near: list[bytes] = []
        self.far: list[bytes] = []
        self.relay = Relay(
            domain,
            self.near.append,
            self.far.append,
            lambda n: b"\7" * n,
            bindings={"tls-server-end-point": b"\1" * 32},
            logs_in=logs_in,
            spaces=spaces,
        )

    def taken(self) -> tuple[bytes, bytes]:
        """-> (to the client, to the server) since last time."""
        near, far = b"".join(self.near), b"".join(self.far)
        self.near.clear()
        self.far.clear()
        return near, far

    def logged_in(self) -> World:
        self.relay.up(UP)
        self.relay.down(DOWN + PLAIN_ONLY)
        self.relay.up(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGEAYg==</auth>".encode())
        self.relay.down(f"<success xmlns='{ns.SASL}'/>".encode())
        self.relay.up(UP)
        self.relay.down(DOWN + b"<stream:features/>")
        self.taken()
        return self


def children(header: bytes, data: bytes) -> list[Child]:
    parser = StreamParser()
    return [event for event in parser.feed(header + data) if isinstance(event, Child)]


def test_headers_pass_without_their_declaration() -> None:
    world = World()
    world.relay.up(UP)
    world.relay.down(DOWN)
    near, far = world.taken()
    assert far.startswith(b"<stream:stream xmlns='jabber:client'")
    assert b" to='a.example'" in far
    assert b" from='a.example'" in near
    assert isinstance(StreamParser().feed(b"  \n " + near)[0], StreamOpen)


def test_what_binds_goes_and_the_rest_stays() -> None:
    features = parse(PLUS, ns.CLIENT)
    assert mechanisms(features) == [
        "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "EXTERNAL", "X-OAUTH2", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"
    ]  # fmt: skip
    assert channel_types(features) == {"tls-exporter", "tls-server-end-point"}
    left = without_bindings(features, taken=False)
    assert mechanisms(left) == ["SCRAM-SHA-256", "X-OAUTH2", "SCRAM-SHA-1"]
    (fast,) = left.iter("{urn:xmpp:fast:0}fast")
    assert [one.text for one in fast] == ["HT-SHA-256-NONE"]
    assert not fast.attrib
    tags = {one.tag for one in left.iter()}
    assert not {tag for tag in tags if "sasl-cb" in tag or "compress" in tag or ns.TLS in tag}
    assert "{http://jabber.org/features/iq-register}register" in tags
    assert "{urn:xmpp:bind:0}bind" in tags
    assert mechanisms(without_bindings(features, taken=True)) == ["PLAIN", "X-OAUTH2"]


def test_tokens_that_are_all_bound_are_not_offered() -> None:
    features = parse(PLUS.replace(b"<mechanism>HT-SHA-256-NONE</mechanism>", b""), ns.CLIENT)
    assert not list(without_bindings(features, taken=False).iter("{urn:xmpp:fast:0}fast"))


@pytest.mark.parametrize(
    ("name", "bound"),
    [("SCRAM-SHA-256-PLUS", True), ("EXTERNAL", True), ("HT-SHA-256-EXPR", True), ("HT-SHA-256-NONE", False),
     ("SCRAM-SHA-256", False), ("PLAIN", False)],
)  # fmt: skip
def test_mechanisms_that_bind(name: str, bound: bool) -> None:
    assert binds(name) == bound


def test_a_login_where_nothing_is_bound_passes_untouched() -> None:
    world = World()
    world.relay.up(UP)
    world.relay.down(DOWN + PLAIN_ONLY)
    assert b"SCRAM-SHA-1<" in world.taken()[0]
    world.relay.up(f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-1'>eSwsbj0=</auth>".encode())
    assert b"eSwsbj0=" in world.taken()[1]
    world.relay.down(f"<challenge xmlns='{ns.SASL}'>eA==</challenge>".encode())
    assert b"<challenge" in world.taken()[0]
    assert not world.relay.known
    world.relay.down(f"<success xmlns='{ns.SASL}'>dj0=</success>".encode())
    assert b"dj0=" in world.taken()[0]
    assert world.relay.known


def test_a_login_that_could_be_bound_is_made_by_the_helper() -> None:
    world = World()
    world.relay.up(UP)
    world.relay.down(DOWN + PLUS)
    assert b"<mechanism>PLAIN</mechanism>" in world.taken()[0]
    secret = base64.b64encode(b"\0alice\0pencil")
    world.relay.up(b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (ns.SASL.encode(), secret))
    far = world.taken()[1]
    assert b"mechanism='SCRAM-SHA-256-PLUS'" in far
    assert secret not in far
    first = base64.b64decode(parse(far, ns.CLIENT).text or "")
    assert first.startswith(b"p=tls-server-end-point,,n=alice,r=")
    challenge = b"r=" + first.partition(b"r=")[2] + b"x,s=QSXC,i=1"
    world.relay.down(b"<challenge xmlns='%b'>%b</challenge>" % (ns.SASL.encode(), base64.b64encode(challenge)))
    near, far = world.taken()
    assert not near, "the client has said all it had to say"
    assert b"<response" in far
    with pytest.raises(StreamError, match="did not prove"):
        world.relay.down(f"<success xmlns='{ns.SASL}'>{base64.b64encode(b'v=AAAA').decode()}</success>".encode())
    assert not world.relay.known


def test_a_bad_login_is_answered_by_the_helper() -> None:
    world = World()
    world.relay.up(UP)
    world.relay.down(DOWN + PLUS)
    world.taken()
    world.relay.up(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>!</auth>".encode())
    near, far = world.taken()
    assert b"<incorrect-encoding" in near
    assert not far


def test_a_helper_in_front_of_a_server_makes_no_login() -> None:
    world = World(domain="", logs_in=False)
    world.relay.up(UP.replace(b"a.example", b"other.example"))
    world.relay.down(DOWN + PLUS)
    near, far = world.taken()
    assert b"other.example" in far
    assert b"SCRAM-SHA-256<" in near
    assert b"PLAIN" not in near


def test_sasl2_goes_on_with_the_same_stream() -> None:
    world = World()
    world.relay.up(UP)
    world.relay.down(DOWN + PLAIN_ONLY)
    world.relay.down(f"<success xmlns='{SASL2}'/><stream:features/>".encode())
    world.relay.up(b"<presence/>")
    near, far = world.taken()
    assert far.endswith(b"<presence/>")
    assert near.endswith(b"<stream:features></stream:features>")


def test_payloads_pass_as_they_came() -> None:
    world = World().logged_in()
    body = "<body>é😀 &lt;&amp;  two  spaces\n</body><x xmlns='urn:x' a=\"'\"><![CDATA[<&]]></x>".encode()
    world.relay.up(b"<message to='b@a.example' xml:lang='de' id='&lt;1'>" + body + b"</message> \n <presence/>")
    _, far = world.taken()
    message, presence = children(UP, far)
    assert isinstance(message, Message)
    assert message.inner == body
    assert message.attributes == {"to": "b@a.example", "{http://www.w3.org/XML/1998/namespace}lang": "de", "id": "<1"}
    assert presence.kind == "presence"


def test_prefixes_of_the_streams_header_come_along() -> None:
    world = World()
    world.relay.up(UP)
    world.relay.down(DOWN.replace(b" from=", b" xmlns:q='urn:q' from="))
    world.relay.down(b"<iq type='result'><q:query/></iq>")
    near, _ = world.taken()
    (iq,) = children(b"", near)
    assert isinstance(iq, Iq)
    assert iq.tree[0].tag == "{urn:q}query"


STANZA = st.sampled_from(
    [b"<message><body>x</body></message>", b"<r xmlns='urn:xmpp:sm:3'/>", b"<iq id='1' type='get'><q xmlns='u'/></iq>",
     b"<presence/>", b"<a xmlns='urn:xmpp:sm:3' h='3'/>"]
)  # fmt: skip


@given(st.lists(STANZA, max_size=12), st.integers(1, 40))
def test_order_and_number_hold_however_it_is_cut(stanzas: list[bytes], cut: int) -> None:
    world = World().logged_in()
    wire = b" ".join(stanzas)
    for at in range(0, len(wire), cut):
        world.relay.up(wire[at : at + cut])
    assert [passed(child) for child in children(UP, b"".join(world.far))] == [
        passed(child) for child in children(UP, wire)
    ]
    for part in world.far:
        parser = StreamParser()
        parser.feed(UP + part)
        assert parser.idle, "spaces may stand after whatever was put"


@pytest.mark.parametrize("spaces", [True, False])
def test_lone_spaces_keep_a_link_alive_where_nothing_else_does(spaces: bool) -> None:
    world = World(spaces=spaces).logged_in()
    world.relay.up(b" ")
    assert world.taken()[1] == (b" " if spaces else b"")
    world.relay.up(b"<message>")
    world.relay.up(b" ")
    assert world.taken()[1] == b"", "inside of a stanza it is content"


def test_ends() -> None:
    world = World().logged_in()
    world.relay.up(b"</stream:stream>")
    world.relay.down(
        b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
    near, far = world.taken()
    assert far == CLOSING
    assert near.startswith(b"<stream:error><conflict")
    assert near.endswith(CLOSING)
    assert world.relay.near_closed
    assert world.relay.far_closed
    world.relay.close()


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (UP.replace(b"a.example", b"b.example"), "host-unknown"),
        (UP + b"<!-- -->", "restricted-xml"),
        (UP + b"<a></b>", "not-well-formed"),
        (UP + b"<auth xmlns='x'>" + b"x" * STRANGER_BYTES, "policy-violation"),
    ],
)
def test_what_a_client_may_not_say(data: bytes, condition: str) -> None:
    with pytest.raises(StreamError) as failed:
        World().relay.up(data)
    assert failed.value.condition == condition


def test_a_server_that_breaks_its_stream() -> None:
    with pytest.raises(StreamError, match="server's stream: not-well-formed"):
        World().relay.down(DOWN + b"<a></b>")


def test_what_is_too_big_from_a_client_may_come_from_a_server() -> None:
    world, big = World().logged_in(), b"<iq type='result'><q xmlns='r'>" + b"x" * 300_000 + b"</q></iq>"
    world.relay.down(big)
    assert len(world.taken()[0]) >= 300_000
    with pytest.raises(StreamError, match="policy-violation"):
        world.relay.up(big)


def test_our_own_words() -> None:
    assert b" to='a.example' version='1.0'>" in greeting(to="a.example")
    (event,) = StreamParser().feed(greeting(from_="x<y", id="1"))
    assert isinstance(event, StreamOpen)
    assert event.attributes["from"] == "x<y"
    said = error(StreamError("host-gone", "a < b"))
    assert children(UP, said.removesuffix(CLOSING))[0].tree[1].text == "a < b"


@given(st.binary(max_size=200))
def test_nothing_that_is_sent_is_a_bug(data: bytes) -> None:
    for side in ("up", "down"):
        try:
            getattr(World().logged_in().relay, side)(data)
        except StreamError:
            pass


@pytest.mark.parametrize(
    "link",
    [
        "<link xmlns='urn:quietwire:links:0' profile='steady' frames='1' tick='3'/>",
        "<q:link xmlns:q='urn:quietwire:links:0' frames='1' profile='steady' tick='3'/>",
    ],
)
def test_nobody_is_told_that_frames_can_be_read(link: str) -> None:
    """They would have to be read here."""
    world = World().logged_in()
    world.relay.up(
        f"<iq type='set' id='1'>{link}</iq><iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
    )
    _, far = world.taken()
    assert b"frames" not in far
    asked, ping = parse(b"<x>" + far + b"</x>", ns.CLIENT)
    assert (asked.get("type"), asked.get("id"), ping.get("id")) == ("set", "1", "2")
    assert asked[0].tag == "{urn:quietwire:links:0}link"
    assert asked[0].attrib == {"profile": "steady", "tick": "3"}
