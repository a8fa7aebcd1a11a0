"""SASL2 on a client's stream; what goes well is in `tests/scenarios/sasl2_*.play` too."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "sasl"))

from scram_client import ScramClient

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.later import Later
from quietwire.core.sasl import initiator, responder
from quietwire.seal.credentials import Credentials
from quietwire.server.accounts import CREDENTIALS, TABLE
from quietwire.testing.dialogue import HEADER
from quietwire.testing.playbook import PASSWORD, Client, Playbook, authenticate, closed, nothing

NS = "urn:xmpp:sasl:2"
SASL2 = f"{{{NS}}}"
FAST = "{urn:xmpp:fast:0}"
HT = "HT-SHA-256-ENDP"
AGENT = (
    "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Test</software><device>phone</device></user-agent>"
)
BIND = "<bind xmlns='urn:xmpp:bind:0'/>"
WANTED = f"<request-token xmlns='urn:xmpp:fast:0' mechanism='{HT}'/>"
ALICE = parse_jid("alice@a.example")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def failure(condition: str) -> str:
    return f"<failure xmlns='{NS}'><{condition} xmlns='{ns.SASL}'/></failure>"


def error(condition: str) -> str:
    return f"<stream:error _='...'><{condition} xmlns='{ns.STREAM_ERRORS}'/></stream:error>"


def success(client: Client) -> Element:
    """What came is a success with features after it."""
    came = client.take()
    assert len(came) == 2, came
    told, features = came
    assert isinstance(told, Element)
    assert isinstance(features, Element)
    assert told.tag == f"{SASL2}success", told
    assert features.tag == f"{{{ns.STREAMS}}}features"
    return told


def token_of(told: Element) -> bytes:
    token = told.find(f"{FAST}token")
    assert token is not None
    return token.get("token", "").encode()


def with_token(
    client: Client, token: bytes, along: str = "", *, fast: str = "", name: str = "alice", agent: str = AGENT,
    mechanism: str = HT, binding: bytes = b"certificate",
) -> Client:  # fmt: skip
    payload = b64(name.encode() + b"\0" + initiator(token, binding))
    return client >> (
        f"<authenticate xmlns='{NS}' mechanism='{mechanism}'><initial-response>{payload}</initial-response>"
        f"{agent}{along}<fast xmlns='urn:xmpp:fast:0'{fast}/></authenticate>"
    )


def world(**settings: Any) -> Playbook:
    return Playbook(accounts=["alice", "bob"], **settings)


# -- the exchange -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"])
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_scram(mechanism: str, password: str) -> None:
    client = world().connect().header()
    plus = mechanism.endswith("-PLUS")
    peer = ScramClient(
        mechanism, "alice", password, "nonce", flag="p=tls-server-end-point" if plus else "n",
        binding=b"certificate" if plus else b"",
    )  # fmt: skip
    client >> (
        f"<authenticate xmlns='{NS}' mechanism='{mechanism}'>"
        f"<initial-response>{b64(peer.first())}</initial-response></authenticate>"
    )
    (challenge,) = client.take()
    assert isinstance(challenge, Element)
    assert challenge.tag == f"{SASL2}challenge"
    client >> f"<response xmlns='{NS}'>{b64(peer.final(base64.b64decode(challenge.text or '')))}</response>"
    if password == PASSWORD:
        told = success(client)
        assert peer.check(base64.b64decode(told.findtext(f"{SASL2}additional-data") or ""))
        assert told.findtext(f"{SASL2}authorization-identifier") == "alice@a.example"
    else:
        client << failure("not-authorized")


def test_without_an_initial_response_the_client_is_asked() -> None:
    client = world().connect().header()
    client >> f"<authenticate xmlns='{NS}' mechanism='PLAIN'/>"
    client << f"<challenge xmlns='{NS}'/>"
    client >> f"<response xmlns='{NS}'>{b64(b'%salice%spass' % (bytes(1), bytes(1)))}</response>"
    success(client)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (f"<authenticate xmlns='{NS}' mechanism='X'/>", "invalid-mechanism"),
        (f"<authenticate xmlns='{NS}'/>", "invalid-mechanism"),
        (f"<authenticate xmlns='{NS}' mechanism='{HT}'/>", "malformed-request"),
        (authenticate("alice", password="wrong"), "not-authorized"),
        (authenticate("nobody"), "not-authorized"),
        (authenticate("alice", "<user-agent id='my phone'/>"), "malformed-request"),
        (f"<authenticate xmlns='{NS}' mechanism='PLAIN'><initial-response>?</initial-response></authenticate>",
         "incorrect-encoding"),
        (f"<response xmlns='{NS}'/>", "malformed-request"),
        (f"<abort xmlns='{NS}'/>", "malformed-request"),
        (f"<next xmlns='{NS}' task='X'/>", "malformed-request"),
    ],
)  # fmt: skip
def test_what_fails(text: str, condition: str) -> None:
    client = world().connect().header()
    client >> text
    client << failure(condition)
    client << nothing
    client >> authenticate("alice")
    success(client)


def test_aborted() -> None:
    client = world().connect().header()
    client >> f"<authenticate xmlns='{NS}' mechanism='PLAIN'/>"
    client.take()
    client >> f"<abort xmlns='{NS}'/>"
    client << failure("aborted")


def test_nothing_else_comes_amid_an_exchange() -> None:
    """XEP-0388 §2.4: servers must disconnect."""
    for text in ("<presence/>", authenticate("alice"), f"<abort xmlns='{ns.SASL}'/>", "<iq type='get' id='1'/>"):
        client = world().connect().header()
        client >> f"<authenticate xmlns='{NS}' mechanism='PLAIN'/>"
        client.take()
        client >> text
        client << error("not-authorized")
        client << closed


def test_attempts_in_both_forms_count_together() -> None:
    client = world(login_attempts=3).connect().header()
    client >> authenticate("alice", password="x")
    client >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{b64(b'%salice%sx' % (bytes(1), bytes(1)))}</auth>"
    client.take()
    with_token(client, b"guess")
    client << failure("not-authorized")
    client << error("policy-violation")
    client << closed


def test_once_only() -> None:
    client = world().connect()
    client.sign_in("alice")
    success(client)
    client >> authenticate("alice")
    client << error("unsupported-stanza-type")


def test_not_without_tls() -> None:
    client = world().connect(secure=False).header()
    client >> authenticate("alice")
    client << error("policy-violation")


def test_the_bytes_before_login_are_counted() -> None:
    client = world(unauthenticated_bytes=2_000).connect().header()
    client >> f"<authenticate xmlns='{NS}' mechanism='PLAIN'><x>{'x' * 2_000}</x></authenticate>"
    client << error("policy-violation")


@pytest.mark.parametrize(
    ("from_", "authzid", "fine"),
    [
        ("alice@a.example", "", True),
        ("alice@a.example", "alice@a.example", True),
        ("bob@a.example", "alice@a.example", False),
        ("bob@a.example", "", True),
        ("@", "alice@a.example", True),
    ],
)
def test_whom_the_stream_is_from_is_no_proof_but_must_fit(from_: str, authzid: str, fine: bool) -> None:
    """XEP-0388 §2.3: a stream's `from` that does not match the authorization identity."""
    client = world().connect()
    client >> (
        f"<stream:stream xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' to='a.example' from='{from_}' version='1.0'>"
    )
    client.take()
    payload = b64(f"{authzid}\0alice\0{PASSWORD}".encode())
    client >> (
        f"<authenticate xmlns='{NS}' mechanism='PLAIN'><initial-response>{payload}</initial-response></authenticate>"
    )
    if fine:
        success(client)
    else:
        client << failure("invalid-authzid")


def test_a_stream_from_elsewhere() -> None:
    client = world().connect()
    client >> HEADER.replace(" to=", " from='x@b.example' to=")
    client << error("invalid-from")


# -- along with it ----------------------------------------------------------------------------------------------------


def test_a_client_that_comes_again_replaces_itself() -> None:
    play = world()
    first, second, other = play.connect(), play.connect(), play.client("alice/other")
    first.sign_in("alice", AGENT + BIND)
    success(first)
    second.sign_in("alice", AGENT + BIND)
    success(second)
    first << error("conflict")
    first << closed
    other << nothing
    assert len(play.server.accounts.loaded[ALICE].sessions) == 2


def test_the_id_of_the_client_shows_nowhere() -> None:
    play = world()
    client = play.connect()
    client.sign_in("alice", AGENT + BIND)
    told = success(client)
    assert "d4565fa7" not in (told.findtext(f"{SASL2}authorization-identifier") or "")
    (session,) = play.server.accounts.loaded[ALICE].sessions.values()
    assert session.client is not None
    assert "d4565fa7" not in session.client.id
    assert (session.client.software, session.client.device) == ("Test", "phone")
    assert "phone" not in repr(session.client)


def test_a_resource_bound_afterwards_knows_its_client_too() -> None:
    play = world()
    client = play.connect()
    client.sign_in("alice", AGENT)
    success(client)
    client.bind("phone")
    assert play.server.accounts.loaded[ALICE].sessions["phone"].client is not None


def test_a_resumption_that_claims_too_much_ends_the_stream() -> None:
    play = world()
    phone = play.client("alice/phone")
    phone >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    phone << "<enabled xmlns='urn:xmpp:sm:3' id='{id}' resume='true' max='{*}'/>"
    phone.cut()
    client = play.connect()
    client.sign_in("alice", f"<resume xmlns='urn:xmpp:sm:3' previd='{play.known['id']}' h='5'/>")
    client << error("undefined-condition")
    client << closed


def test_too_many_sessions() -> None:
    play = world(sessions_per_account=1)
    play.client("alice/one")
    client = play.connect()
    client.sign_in("alice", BIND)
    client << error("resource-constraint")
    client << closed


# -- tokens -----------------------------------------------------------------------------------------------------------


def signed_in(play: Playbook, along: str = BIND) -> bytes:
    """Logs in with the password; -> a token."""
    client = play.connect()
    client.sign_in("alice", AGENT + along + WANTED)
    return token_of(success(client))


def test_a_token_logs_in_with_one_round_trip() -> None:
    play = world()
    token = signed_in(play)
    client = with_token(play.connect().header(), token, BIND)
    told = success(client)
    proof = base64.b64decode(told.findtext(f"{SASL2}additional-data") or "")
    assert proof == responder(token, b"certificate")
    assert told.find("{urn:xmpp:bind:0}bound") is not None
    (session,) = play.server.accounts.loaded[ALICE].sessions.values()
    assert session.client is not None
    assert session.client.by_token
    client >> "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
    client << "<iq type='result' id='p' _='...'/>"


def test_a_token_is_told_with_its_end() -> None:
    play = world(token_seconds=3600.0)
    client = play.connect()
    client.sign_in("alice", AGENT + WANTED)
    token = success(client).find(f"{FAST}token")
    assert token is not None
    assert token.get("expiry") == "2001-09-09T02:46:40Z"


def test_no_token_for_who_does_not_say_which_client_it_is_or_wants_what_is_not_offered() -> None:
    play = world()
    for along in (
        WANTED,
        AGENT + WANTED.replace(HT, "HT-SHA-256-UNIQ"),
        AGENT + "<request-token xmlns='urn:xmpp:fast:0'/>",
    ):
        client = play.connect()
        client.sign_in("alice", along)
        assert success(client).find(f"{FAST}token") is None


def test_no_token_without_the_password() -> None:
    client = world().connect()
    client.sign_in("alice", AGENT + WANTED, password="wrong")
    client << failure("not-authorized")
    client << nothing


def test_what_does_not_fit_is_refused_like_an_unknown_account() -> None:
    play = world(login_attempts=100)
    token = signed_in(play)
    client = play.connect().header()
    for attempt in (
        {"token": b"guess"},
        {"binding": b"another certificate"},
        {"name": "bob"},
        {"name": "nobody"},
        {"name": "@"},
        {"agent": ""},
        {"agent": AGENT.replace("d456", "d457")},
        {"mechanism": "HT-SHA-256-NONE", "binding": b""},
    ):
        with_token(client, **{"token": token, **attempt})  # type: ignore[arg-type]
        client << failure("not-authorized")
    with_token(client, token)
    success(client)


def test_a_token_cannot_be_used_without_saying_that_it_is_one() -> None:
    play = world()
    token = signed_in(play)
    client = play.connect().header()
    payload = b64(b"alice\0" + initiator(token, b"certificate"))
    client >> (
        f"<authenticate xmlns='{NS}' mechanism='{HT}'><initial-response>{payload}</initial-response>"
        f"{AGENT}</authenticate>"
    )
    client << failure("malformed-request")


def test_a_new_password_ends_all_tokens_and_so_does_the_end_of_the_account() -> None:
    play = world()
    token = signed_in(play)
    play.run(play.server.admin.set_password("alice", "other"))
    client = with_token(play.connect().header(), token)
    client << failure("not-authorized")
    play = world()
    token = signed_in(play)
    play.run(play.server.admin.delete("alice"))
    play.run(play.server.admin.add("alice", "pass"))
    client = with_token(play.connect().header(), token)
    client << failure("not-authorized")


def test_a_client_logs_out() -> None:
    play = world()
    token = signed_in(play)
    assert success(with_token(play.connect().header(), token, fast=" invalidate='true'")).find(f"{FAST}token") is None
    with_token(play.connect().header(), token) << failure("not-authorized")


def test_an_old_token_is_replaced() -> None:
    play = world()
    token = signed_in(play)
    play.pass_time(50_000)
    new = token_of(success(with_token(play.connect().header(), token)))
    success(with_token(play.connect().header(), new))
    with_token(play.connect().header(), token) << failure("not-authorized")


def test_a_count_is_used_once() -> None:
    play = world()
    token = signed_in(play)
    success(with_token(play.connect().header(), token, fast=" count='1'"))
    with_token(play.connect().header(), token, fast=" count='1'") << failure("not-authorized")


def test_switched_off() -> None:
    play = world(token_seconds=0)
    client = play.connect()
    client.sign_in("alice", AGENT + WANTED)
    assert success(client).find(f"{FAST}token") is None
    client = play.connect().header()
    with_token(client, b"any") << failure("invalid-mechanism")


def test_a_password_is_a_password_whatever_is_said_along_with_it() -> None:
    play = world()
    client = play.connect()
    client.sign_in("alice", AGENT + BIND + WANTED + "<fast xmlns='urn:xmpp:fast:0'/>")
    assert token_of(success(client))
    (session,) = play.server.accounts.loaded[ALICE].sessions.values()
    assert session.client is not None
    assert not session.client.by_token


# -- keys --------------------------------------------------------------------------------------------------------------


OWNER = b"alice@a.example"


def unlocked(play: Playbook) -> int:
    """By how much alice's account is held; 0 where it is locked."""
    found = play.server.keyring.get(OWNER)
    return found.leases if found is not None else 0


def test_a_login_in_this_form_unlocks_until_its_end() -> None:
    play = world()
    client = play.connect()
    client.sign_in("alice")
    success(client)
    assert unlocked(play) == 1
    client.cut()
    assert unlocked(play) == 0
    client = play.connect()
    client.sign_in("alice", BIND)
    success(client)
    assert unlocked(play) == 1
    client >> "</stream:stream>"
    assert unlocked(play) == 0


def test_a_token_keeps_the_account_unlocked_and_its_login_too() -> None:
    play = world()
    token = signed_in(play)
    for client in play.clients:
        client.cut()
    assert unlocked(play) == 1
    client = with_token(play.connect().header(), token)
    success(client)
    assert unlocked(play) == 2
    client.cut()
    play.pass_time(86_500)
    assert unlocked(play) == 0


def test_the_last_token_may_be_used_up_by_its_login() -> None:
    play = world()
    token = signed_in(play)
    for client in play.clients:
        client.cut()
    client = with_token(play.connect().header(), token, fast=" invalidate='true'")
    success(client)
    assert unlocked(play) == 1
    client.cut()
    assert unlocked(play) == 0


def test_what_a_token_cannot_unlock_it_does_not_let_in() -> None:
    play = world()
    token = signed_in(play)
    for client in play.clients:
        client.cut()
    held = play.server.keyring.get(OWNER)
    assert held is not None
    play.server.keyring.wipe(held)
    client = play.connect().header()
    with_token(client, token) << failure("credentials-expired")
    with_token(client, token) << failure("not-authorized")
    client >> authenticate("alice")
    success(client)


def test_a_wrong_token_holds_nothing() -> None:
    play = world()
    token = signed_in(play)
    for client in play.clients:
        client.cut()
    client = play.connect().header()
    for attempt in ({"token": b"guess"}, {"agent": AGENT.replace("d456", "d457")}):
        with_token(client, **{"token": token, **attempt})  # type: ignore[arg-type]
        client << failure("not-authorized")
    assert unlocked(play) == 1


def test_a_stream_that_is_from_somebody_else_unlocks_nothing() -> None:
    play = world()
    client = play.connect()
    client >> HEADER.replace("to=", "from='bob@a.example' to=")
    client.take()
    payload = b64(b"alice@a.example\0alice\0" + PASSWORD.encode())
    client >> (
        f"<authenticate xmlns='{NS}' mechanism='PLAIN'><initial-response>{payload}</initial-response></authenticate>"
    )
    client << failure("invalid-authzid")
    assert unlocked(play) == 0


def test_who_is_gone_when_the_password_is_found_right_unlocks_nothing() -> None:
    play = world()
    waits: list[tuple[Later[bytes | None], Callable[[], bytes | None]]] = []

    def compute(work: Callable[[], bytes | None]) -> Later[bytes | None]:
        later: Later[bytes | None] = Later()
        waits.append((later, work))
        return later

    play.server.gate.compute = compute
    client = play.connect()
    client.sign_in("alice", BIND)
    client.cut()
    later, work = waits.pop()
    later.resolve(work())
    assert unlocked(play) == 0


def test_a_damaged_wrap_lets_nobody_in() -> None:
    play = world()
    record = play.server.store.get(TABLE, OWNER, CREDENTIALS).result()
    assert record is not None
    for entry in Credentials.from_bytes(record, ALICE).entries.values():
        record = record.replace(entry.wrap, entry.wrap[:-1] + bytes([entry.wrap[-1] ^ 1]))
    play.server.store.put(TABLE, OWNER, CREDENTIALS, record)
    client = play.connect()
    client.sign_in("alice", BIND)
    client << failure("temporary-auth-failure")
    assert unlocked(play) == 0


def test_the_payload_is_taken_out_before_a_tree_is_made() -> None:
    space = f"<authenticate xmlns='{NS}' mechanism='PLAIN'>"
    plain = b64(b"\0alice\0" + PASSWORD.encode())
    for inside in (
        f"<initial-response>{plain}</initial-response>{AGENT}",
        f"{AGENT}<initial-response>\n {plain}\n</initial-response>",
        f"<initial-response a='b'>{plain}</initial-response>",
        f"<x:initial-response xmlns:x='{NS}'>{plain}</x:initial-response>",
        f"<initial-response><![CDATA[{plain}]]></initial-response>",
        f"<other xmlns='o'><initial-response>{b64(b'no')}</initial-response></other>"
        f"<initial-response>{plain}</initial-response>",
        f"<initial-response>{plain[:4]}&#{ord(plain[4])};{plain[5:]}</initial-response>",
    ):
        client = world().connect().header()
        client >> f"{space}{inside}</authenticate>"
        success(client)
    for inside in ("", f"<initial-response xmlns='o'>{plain}</initial-response>"):
        client = world().connect().header()
        client >> f"{space}{inside}</authenticate>"
        client << f"<challenge xmlns='{NS}'/>"


def test_a_stream_goes_on_after_its_password_was_overwritten() -> None:
    play = world()
    client = play.connect().header()
    client >> authenticate("alice", BIND, "wrong") + authenticate("alice", BIND)
    client << failure("not-authorized")
    success(client)
    client >> "<iq type='get' id='p' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"
    client << "<iq type='result' id='p' _='...'/>"
