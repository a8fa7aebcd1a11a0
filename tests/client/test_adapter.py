"""slixmpp's traps. A stream is driven by the bytes a server would send; what the client writes is looked at."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from certs import Authority

from quietwire.client import adapter as adapter_module
from quietwire.client.adapter import Adapter
from quietwire.client.caps import answer
from quietwire.client.errors import ClientError, LinkError, LoginError, RequestError
from quietwire.client.link import Link
from quietwire.client.outbox import Entry, Outbox
from quietwire.client.stanzas import stanza_error
from quietwire.core import ns
from quietwire.core.xml import Element, build, parse
from quietwire.shaping.frames import pack
from quietwire.shaping.policy import Policy, Profile

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    " id='1' from='a.example' version='1.0'>"
)


class Listener:
    def __init__(self) -> None:
        self.stanzas: list[tuple[Element, Callable[[], None]]] = []
        self.log: list[object] = []

    def session_began(self, resent: int) -> None:
        self.log.append(("began", resent))

    def session_resumed(self, resent: int) -> None:
        self.log.append(("resumed", resent))

    def link_lost(self) -> None:
        self.log.append("lost")

    def ended(self, error: ClientError) -> None:
        self.log.append(error)

    def confirmed(self, ids: list[str]) -> None:
        self.log.append(ids)

    def stanza_came(self, stanza: Element, done: Callable[[], None]) -> None:
        self.stanzas.append((stanza, done))

    def request_came(self, iq: Element) -> Element:
        return answer(iq)


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.aborted = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def take(self) -> str:
        data, self.written = self.written, b""
        return data.decode()


class Bench:
    """An adapter in a session with stream management, on a wire."""

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008 - frozen
        self.listener = Listener()
        self.outbox = Outbox()
        self.adapter = make(self.listener, self.outbox, policy=policy)
        self.wire = Wire()
        stream = self.adapter._stream
        stream.transport = self.wire
        stream.bound = True
        stream.init_parser()
        self.server(HEADER)
        self.outbox.enable()
        self.adapter._counting_in = True
        self.adapter._sm_id = "session"
        self.adapter._on_negotiated(None)
        self.wire.take()

    def server(self, data: str) -> None:
        self.adapter._stream.data_received(data.encode())


def make(
    listener: Listener,
    outbox: Outbox,
    port: int = 1,
    ca_file: Path | None = None,
    tls: bool = True,
    policy: Policy = Policy(),  # noqa: B008 - frozen
) -> Adapter:
    return Adapter(
        listener,
        jid="me@a.example",
        password="pencil",
        resource=None,
        address=("127.0.0.1", port),
        direct_tls=tls,
        ca_file=ca_file,
        outbox=outbox,
        policy=policy,
    )


def on_a_bench(test: Callable[[Bench], Awaitable[None]], policy: Policy = Policy()) -> None:  # noqa: B008 - frozen
    async def run() -> None:
        bench = Bench(policy)
        await test(bench)
        bench.adapter._stream.transport = None
        await bench.adapter.close()

    asyncio.run(run())


def message(name: str) -> Entry:
    return Entry(f"<message id='{name}'/>".encode(), "message", name)


R = "<r xmlns='urn:xmpp:sm:3'/>"


def test_an_encrypted_message_without_a_body_arrives() -> None:
    async def test(bench: Bench) -> None:
        fired: list[object] = []
        bench.adapter._stream.add_event_handler("message", fired.append)
        bench.server("<message from='b@b.example/r'><encrypted xmlns='urn:xmpp:omemo:2'/></message>")
        ((stanza, _),) = bench.listener.stanzas
        assert stanza.find("{urn:xmpp:omemo:2}encrypted") is not None
        assert not fired  # this is why the adapter has handlers of its own

    on_a_bench(test)


def test_a_subscription_request_is_not_answered_by_the_library() -> None:
    async def test(bench: Bench) -> None:
        bench.server("<presence from='eve@e.example' type='subscribe'/>")
        await asyncio.sleep(0)
        assert bench.wire.take() == ""
        assert len(bench.listener.stanzas) == 1

    on_a_bench(test)


def test_acknowledgements_are_asked_for_one_at_a_time() -> None:
    async def test(bench: Bench) -> None:
        bench.adapter.put(message("a"))
        bench.adapter.put(message("b"))
        assert bench.wire.take() == f"<message id='a'/>{R}<message id='b'/>"
        bench.server("<a xmlns='urn:xmpp:sm:3' h='1'/>")
        assert bench.listener.log[-1] == ["a"]
        assert bench.wire.take() == R
        bench.server("<a xmlns='urn:xmpp:sm:3' h='2'/>")
        assert bench.listener.log[-1] == ["b"]
        assert bench.wire.take() == ""

    on_a_bench(test)


def test_a_stanza_is_acknowledged_when_it_is_handled_and_not_before() -> None:
    async def test(bench: Bench) -> None:
        bench.server(f"<message from='b@b.example'/><iq type='result' id='x'/>{R}")
        assert bench.wire.take() == ""
        bench.listener.stanzas[0][1]()
        assert bench.wire.take() == "<a xmlns='urn:xmpp:sm:3' h='2'/>"

    on_a_bench(test)


def test_an_impossible_acknowledgement_ends_the_session_and_loses_nothing() -> None:
    async def test(bench: Bench) -> None:
        bench.adapter.put(message("a"))
        bench.server("<a xmlns='urn:xmpp:sm:3' h='7'/>")
        assert bench.wire.aborted
        assert not bench.adapter.resumable
        assert [entry.id for entry in bench.outbox.start()] == ["a"]

    on_a_bench(test)


def test_a_cut_is_a_cut() -> None:
    async def test(bench: Bench) -> None:
        bench.adapter.drop_link()
        assert bench.wire.aborted
        assert bench.wire.take() == ""  # no </stream:stream>

    on_a_bench(test)


def test_requests() -> None:
    async def test(bench: Bench) -> None:
        asking = asyncio.ensure_future(bench.adapter.request("get", build("{x}q"), "b.example"))
        await asyncio.sleep(0)
        written = bench.wire.take()
        id = re.search(r"id='(\w+)'", written)
        assert id is not None
        assert "to='b.example'" in written
        bench.server(f"<iq type='result' id='{id[1]}'><q xmlns='x'/></iq>")
        assert (await asking)[0].tag == "{x}q"

        asking = asyncio.ensure_future(bench.adapter.request("get", build("{x}q")))
        await asyncio.sleep(0)
        id = re.search(r"id='(\w+)'", bench.wire.take())
        assert id is not None
        bench.server(
            f"<iq type='error' id='{id[1]}'><error type='cancel'>"
            "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
        with pytest.raises(RequestError, match="item-not-found"):
            await asking

        asking = asyncio.ensure_future(bench.adapter.request("get", build("{x}q")))
        await asyncio.sleep(0)
        bench.adapter._lose_session(None)
        with pytest.raises(RequestError, match="timeout"):
            await asking

    on_a_bench(test)


def test_a_cancellation_that_comes_with_the_answer_is_not_swallowed() -> None:
    async def test(bench: Bench) -> None:
        asking = asyncio.ensure_future(bench.adapter.request("get", build("{x}q")))
        await asyncio.sleep(0)
        id = re.search(r"id='(\w+)'", bench.wire.take())
        assert id is not None
        bench.server(f"<iq type='result' id='{id[1]}'/>")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    on_a_bench(test)


def test_requests_of_others_are_answered_once() -> None:
    async def test(bench: Bench) -> None:
        bench.server("<iq type='get' id='1' from='b.example'><ping xmlns='urn:xmpp:ping'/></iq>")
        bench.server("<iq type='get' id='2' from='b.example'><query xmlns='jabber:iq:version'/></iq>")
        await asyncio.sleep(0)
        written = bench.wire.take()
        assert written.count("<iq ") == 2
        assert "type='result' id='1'" in written
        assert "type='error' id='2'" in written

    on_a_bench(test)


def test_an_error_without_a_condition_has_one() -> None:
    assert stanza_error(parse(b"<iq type='error'/>", ns.CLIENT)) == "undefined-condition"


@pytest.mark.parametrize("tls", [True, False])
def test_an_explicit_address_is_tried_in_one_way_only(tls: bool) -> None:
    async def run() -> None:
        made = make(Listener(), Outbox(), tls=tls)
        stream = made._stream
        assert (stream.enable_direct_tls, stream.enable_starttls, stream.enable_plaintext) == (tls, not tls, False)
        await made.close()

    asyncio.run(run())


def test_authorities_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for name in ("empty", "missing"):
        with pytest.raises(LinkError, match="cannot be read"):
            adapter_module.tls_context(tmp_path / name)


async def against(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    folder: Path,
    *,
    tls: bool,
    authority: Authority | None = None,
    domain: str = "a.example",
) -> Exception | None:
    """What `connect` raises against a server that follows `script`."""
    issuer = Authority()
    certificate, key = issuer.issue(folder, domain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ca_file = (authority or issuer).write(folder / "ca.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if tls else None)
    port = server.sockets[0].getsockname()[1]
    made = make(Listener(), Outbox(), port, ca_file, tls)
    try:
        await made.connect(10)
    except ClientError as error:
        return error
    finally:
        await made.close()
        server.close()
    return None


def features(*mechanisms: str) -> bytes:
    offered = "".join(f"<mechanism>{name}</mechanism>" for name in mechanisms)
    sasl = f"<mechanisms xmlns='{ns.SASL}'>{offered}</mechanisms>" if mechanisms else ""
    return f"{HEADER}<stream:features>{sasl}</stream:features>".encode()


FAILURE = f"<failure xmlns='{ns.SASL}'><not-authorized/></failure>".encode()


def test_a_server_without_tls_gets_no_password(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"version='1.0'>")
        writer.write(features("SCRAM-SHA-256", "PLAIN"))
        heard.append(await reader.read())

    error = asyncio.run(against(script, tmp_path, tls=False))
    assert isinstance(error, LinkError)
    assert "no TLS" in str(error)
    assert b"<auth" not in b"".join(heard)


def test_no_channel_binding_is_claimed_on_tls_1_3(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        await reader.readuntil(b"version='1.0'>")
        writer.write(features("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"))
        heard.append(await reader.readuntil(b"</auth>"))
        writer.write(FAILURE)

    error = asyncio.run(against(script, tmp_path, tls=True))
    assert isinstance(error, LoginError)
    auth = re.search(rb"mechanism=.([A-Z0-9-]+)[^>]*>([^<]+)<", heard[0])
    assert auth is not None
    if "tls-exporter" not in ssl.CHANNEL_BINDING_TYPES:
        assert auth[1] == b"SCRAM-SHA-256"
        # "y" would say that we could and the server cannot: it offers -PLUS and would have to refuse (RFC 5802 §6).
        assert base64.b64decode(auth[2]).startswith(b"n,,")


def test_the_password_is_never_sent_itself(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"version='1.0'>")
        writer.write(features("PLAIN", "DIGEST-MD5", "CRAM-MD5"))
        heard.append(await reader.read())

    error = asyncio.run(against(script, tmp_path, tls=True))
    assert isinstance(error, LoginError)
    assert b"<auth" not in b"".join(heard)


SCRAM_BEGIN = "user,r=rOprNGfwEbeRWgbNEkqO"
SCRAM_CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
SCRAM_PROOF = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
"""RFC 7677 §3."""


def scram(challenge: bytes = SCRAM_CHALLENGE) -> adapter_module._Scram:
    credentials = {"username": b"user", "password": b"pencil", "authzid": b"", "channel_binding": b""}
    made = adapter_module._Scram("SCRAM-SHA-256", credentials, {"encrypted": True, "binding_proposed": True})
    made.process()
    made.cnonce, made.client_first_message_bare, made.gs2_header = (
        SCRAM_BEGIN[7:].encode(),
        b"n=" + SCRAM_BEGIN.encode(),
        b"n,,",
    )
    made.prepare(challenge)
    return made


@pytest.mark.parametrize("prepared", [True, False])
def test_the_salted_password_is_that_of_the_rfc(prepared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mechanism = scram()
    if prepared:
        monkeypatch.setattr(mechanism, "_salt", None)  # it is there already
    else:
        mechanism.salted = None
    assert SCRAM_PROOF in mechanism.process(SCRAM_CHALLENGE)


@pytest.mark.parametrize(
    "challenge", [b"r=x,s=AAAA,i=10000001", b"r=x,s=AAAA,i=0", b"r=x,s=AAAA,i=-1", b"r=x,s=A,i=1", b"r"]
)
def test_a_challenge_that_would_keep_us_busy_or_is_none_is_refused(challenge: bytes) -> None:
    with pytest.raises(ValueError):
        scram(challenge)


def test_what_names_no_salt_needs_no_thread() -> None:
    assert scram(b"v=AAAA").salted is None


@pytest.mark.parametrize("challenge", [SCRAM_CHALLENGE, b"i=1"])
def test_a_challenge_is_answered_or_the_connection_ends(challenge: bytes, tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"version='1.0'>")
        writer.write(features("SCRAM-SHA-256"))
        auth = await reader.readuntil(b"</auth>")
        said = re.search(rb">([^<]+)</auth>", auth)
        assert said is not None
        nonce = base64.b64decode(said[1]).rpartition(b"r=")[2]
        answer = re.sub(rb"r=[^,]+", b"r=" + nonce + b"more", challenge)
        writer.write(f"<challenge xmlns='{ns.SASL}'>{base64.b64encode(answer).decode()}</challenge>".encode())
        heard.append(await reader.readuntil(b"</response>"))
        writer.write(FAILURE)

    error = asyncio.run(against(script, tmp_path, tls=True))
    assert bool(heard) is (challenge is SCRAM_CHALLENGE)
    assert isinstance(error, LoginError)
    assert ("password" in str(error)) is bool(heard)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def test_certificates_are_checked(tmp_path: Path) -> None:
    error = asyncio.run(against(silent, tmp_path, tls=True, authority=Authority()))
    assert "certificate" in str(error)
    error = asyncio.run(against(silent, tmp_path, tls=True, domain="other.example"))
    assert "certificate" in str(error)


def test_tls_where_there_is_none(tmp_path: Path) -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello, I am no TLS server\r\n" * 10)
        await writer.drain()

    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await chatty(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        made = make(Listener(), Outbox(), server.sockets[0].getsockname()[1])
        with pytest.raises(LinkError, match="does not speak TLS"):
            await made.connect(10)
        await made.close()
        server.close()

    asyncio.run(run())


def test_slixmpp_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def test(bench: Bench) -> None:
        bench.server("<message from='b@b.example'><body>whispered</body></message>")
        bench.server("<not well-formed")
        bench.server("<<<")

    on_a_bench(test)
    assert not [record for record in caplog.records if record.name.startswith("slixmpp")]
    assert "whispered" not in caplog.text


STEADY = Policy(Profile.STEADY)


class Queue:
    """In the place of a shaped link: what was put is written when the test says so."""

    def __init__(self) -> None:
        self.marks: list[Callable[[], None]] = []
        self.lost = False

    def when_written(self, call: Callable[[], None]) -> None:
        self.marks.append(call)

    def written(self) -> None:
        marks, self.marks = self.marks, []
        for call in marks:
            call()

    def delay(self) -> float:
        return 12.0

    def heard(self) -> None: ...

    def pack(self) -> None:
        self.packs = True

    def over(self) -> None:
        self.lost = True


def shaped(bench: Bench) -> Queue:
    queue = Queue()
    bench.adapter._link = queue  # type: ignore[assignment]
    return queue


def test_the_time_for_an_acknowledgement_begins_when_it_is_asked_for_on_the_wire() -> None:
    async def test(bench: Bench) -> None:
        queue = shaped(bench)
        bench.adapter.put(message("a"))
        assert bench.adapter._ack_timer is None
        queue.written()
        timer = bench.adapter._ack_timer
        assert timer is not None
        wait = timer.when() - asyncio.get_running_loop().time()
        assert wait == pytest.approx(adapter_module.ACK_SECONDS + 2 * STEADY.tick, abs=1)
        bench.server("<a xmlns='urn:xmpp:sm:3' h='1'/>")
        assert bench.adapter._ack_timer is None
        bench.adapter.put(message("b"))
        bench.server("<a xmlns='urn:xmpp:sm:3' h='2'/>")
        queue.written()  # answered before its mark was seen
        assert bench.adapter._ack_timer is None

    on_a_bench(test, STEADY)


def test_cells_that_come_prove_the_link_while_an_answer_waits_for_its_turn() -> None:
    async def test(bench: Bench) -> None:
        shaped(bench)
        now = asyncio.get_running_loop().time()
        bench.adapter.put(message("a"))
        bench.server(" ")
        bench.adapter._overdue(now + 1000)
        assert bench.adapter._ack_timer is not None
        assert not bench.wire.aborted
        bench.adapter._heard_at = now - 100
        bench.adapter._overdue(now + 1000)
        assert bench.wire.aborted

    async def never_answered(bench: Bench) -> None:
        shaped(bench)
        bench.adapter.put(message("a"))
        bench.server(" ")
        bench.adapter._overdue(asyncio.get_running_loop().time() - 1)
        assert bench.wire.aborted

    on_a_bench(test, STEADY)
    on_a_bench(never_answered, STEADY)


async def resumed(bench: Bench) -> None:
    """The connection broke in the middle of a message; the server takes the session up again."""
    bench.adapter.put(message("a"))
    bench.adapter._on_disconnected(None)
    assert bench.adapter._retry is not None
    bench.adapter._retry.cancel()
    bench.wire.take()
    taken_up = asyncio.create_task(bench.adapter._resume("session"))
    await asyncio.sleep(0)
    bench.server("<resumed xmlns='urn:xmpp:sm:3' previd='session' h='0'/>")
    assert await taken_up


def test_a_resumed_session_that_answers_nothing_is_given_up_and_loses_nothing() -> None:
    async def test(bench: Bench) -> None:
        await resumed(bench)
        assert bench.wire.take() == f"<resume xmlns='urn:xmpp:sm:3' h='0' previd='session'/><message id='a'/>{R}"
        timer = bench.adapter._ack_timer
        assert timer is not None
        wait = timer.when() - asyncio.get_running_loop().time()
        assert wait == pytest.approx(adapter_module.RESUMED_SECONDS, abs=1)
        bench.adapter._overdue(0.0)  # swallowed
        assert bench.wire.aborted
        assert not bench.adapter.resumable
        bench.adapter._on_disconnected(None)
        assert [entry.id for entry in bench.outbox.start()] == ["a"]

    on_a_bench(test)


def test_what_a_server_goes_on_to_say_does_not_prove_that_it_hears_a_resumed_session() -> None:
    async def test(bench: Bench) -> None:
        await resumed(bench)
        bench.server(" ")
        bench.adapter._overdue(asyncio.get_running_loop().time() + 1000)
        assert bench.wire.aborted
        assert not bench.adapter.resumable
        bench.adapter._on_disconnected(None)
        assert [entry.id for entry in bench.outbox.start()] == ["a"]

    async def paced(bench: Bench) -> None:
        bench.adapter.follow()  # ours: it hears, and what it answers waits behind what goes again
        await resumed(bench)
        bench.server(" ")
        bench.adapter._overdue(asyncio.get_running_loop().time() + 1000)
        assert not bench.wire.aborted
        assert bench.adapter.resumable
        assert bench.adapter._ack_timer is not None
        bench.adapter.give_up_session()
        assert not bench.adapter._paced  # another server may have the next one

    on_a_bench(test, STEADY)
    on_a_bench(paced, STEADY)


def test_a_resumed_session_that_has_answered_is_one_like_any_other() -> None:
    async def test(bench: Bench) -> None:
        await resumed(bench)
        bench.server("<a xmlns='urn:xmpp:sm:3' h='1'/>")
        bench.adapter.put(message("b"))
        timer = bench.adapter._ack_timer
        assert timer is not None
        wait = timer.when() - asyncio.get_running_loop().time()
        assert wait == pytest.approx(adapter_module.ACK_SECONDS, abs=1)
        bench.adapter._overdue(0.0)  # the network this time
        assert bench.wire.aborted
        assert bench.adapter.resumable

    on_a_bench(test)


def test_without_acknowledgements_what_is_written_is_confirmed_and_what_is_not_goes_again() -> None:
    async def test(bench: Bench) -> None:
        bench.outbox.disable()
        queue = shaped(bench)
        bench.adapter.put(message("a"))
        before = list(bench.listener.log)
        queue.written()
        assert bench.listener.log == [*before, ["a"]]
        bench.adapter.put(message("b"))
        bench.adapter._sm_id = None
        bench.adapter._closing = True
        bench.adapter._on_disconnected(None)
        assert queue.lost
        assert [entry.id for entry in bench.outbox.start()] == ["b"]

    on_a_bench(test)


def test_patience_and_room_without_a_shaped_link() -> None:
    async def test(bench: Bench) -> None:
        adapter = bench.adapter
        assert not adapter.steady
        assert adapter.patience(3.0) == 3.0
        for waiting in (adapter.room(), adapter.window(), adapter.calm()):
            await waiting
        adapter.follow()
        shaped(bench)
        assert adapter.patience(3.0) == 15.0

    on_a_bench(test)


def test_an_acknowledgement_is_asked_for_now_and_then_on_a_steady_link_alone() -> None:
    async def test(bench: Bench) -> None:
        assert bench.adapter._ask_timer is not None
        bench.adapter._ask_timer.cancel()
        bench.adapter._ask_again()
        assert bench.wire.take() == R
        bench.adapter._ask_again()  # one is under way
        assert bench.wire.take() == ""
        bench.server("<a xmlns='urn:xmpp:sm:3' h='0'/>")
        bench.adapter._ask_again()
        assert bench.wire.take() == R

    async def never(bench: Bench) -> None:
        assert bench.adapter._ask_timer is None

    on_a_bench(test, STEADY)
    on_a_bench(never)


def test_only_what_is_under_tls_is_shaped() -> None:
    async def test(bench: Bench) -> None:
        stream = bench.adapter._stream
        plain = Wire()
        stream.connection_made(plain)
        assert stream.transport is plain

        class Secure(Wire):
            def get_extra_info(self, name: str, default: object = None) -> object:
                return Certificate() if name == "ssl_object" else default

        class Certificate:
            def getpeercert(self, binary: bool) -> bytes:
                return b""

        stream.connection_made(Secure())
        assert isinstance(stream.transport, Link)
        bench.adapter._on_disconnected(None)
        assert stream.transport.is_closing()

    async def unshaped(bench: Bench) -> None:
        wire = Wire()
        assert bench.adapter._secured(wire) is wire

    on_a_bench(test, STEADY)
    on_a_bench(unshaped)


def test_what_no_server_would_take_is_refused() -> None:
    async def run() -> None:
        with pytest.raises(LinkError, match="more than servers take"):
            make(Listener(), Outbox(), policy=Policy(Profile.STEADY, cell=16_000))

    asyncio.run(run())


NOTE = "<message from='ben@a.example' to='me@a.example' type='chat' id='{}'><store xmlns='urn:xmpp:hints'/></message>"


def test_frames_are_read_once_they_were_asked_for() -> None:
    async def test(bench: Bench) -> None:
        bench.adapter.unpack()
        notes = [NOTE.format(number).encode() for number in range(4)]
        for piece in (pack(notes[0]) + b"  " + notes[1], pack(notes[2])[:9], pack(notes[2])[9:] + pack(notes[3])):
            bench.adapter._stream.data_received(piece)
        assert [stanza.get("id") for stanza, _ in bench.listener.stanzas] == ["0", "1", "2", "3"]
        assert bench.adapter._inbound.received == 4
        assert not bench.wire.aborted
        bench.adapter._on_disconnected(None)
        assert bench.adapter._stream.unpacker is None  # the next connection has none until it is asked for

    on_a_bench(test)


@pytest.mark.parametrize(
    "data",
    [
        b"\1\0\0\3abc",
        b"<message><body>" + pack(NOTE.encode()),
        pack(NOTE.encode()[: -len("</message>")]),
    ],
    ids=("no data", "in a stanza", "a part"),
)
def test_frames_that_are_none_end_the_connection(data: bytes) -> None:
    async def test(bench: Bench) -> None:
        bench.adapter.unpack()
        bench.adapter._stream.data_received(data)
        assert bench.wire.aborted

    on_a_bench(test)


def test_each_stanza_is_packed_alone() -> None:
    async def test(bench: Bench) -> None:
        written: list[bytes] = []
        bench.adapter.pack()  # without a link of its own it does nothing
        bench.adapter._stream.send_raw = written.append  # type: ignore[method-assign,assignment]
        bench.adapter._write([message("a"), message("b")])
        assert len(written) == 1
        queue = shaped(bench)
        bench.adapter.pack()
        assert queue.packs
        bench.adapter._asked = False
        bench.adapter._write([message("c"), message("d")])
        assert [data.split(b" ")[0] for data in written[1:]] == [b"<message", b"<message", b"<r"]

    on_a_bench(test)
