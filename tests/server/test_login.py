from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "sasl"))

from scram_client import ScramClient

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.sasl import HASHES
from quietwire.seal.credentials import Credentials
from quietwire.seal.wraps import WRAP_BYTES
from quietwire.server.accounts import CREDENTIALS, TABLE
from quietwire.testing.playbook import PASSWORD, Client, Playbook, closed

NUL = "\0"
SASL = f"xmlns='{ns.SASL}'"
ALICE = parse_jid("alice@a.example")
OWNER = b"alice@a.example"
MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def connected(play: Playbook) -> Client:
    return play.connect().header()


def scram(client: Client, mechanism: str, name: str, password: str, authzid: str = "") -> str:
    """Tries to log in; what the server said last: a name of an element."""
    plus = mechanism.endswith("-PLUS")
    peer = ScramClient(
        mechanism,
        name,
        password,
        "clientnonce",
        flag="p=tls-server-end-point" if plus else "n",
        binding=b"certificate" if plus else b"",
        authzid=authzid,
    )
    client >> f"<auth {SASL} mechanism='{mechanism}'>{b64(peer.first())}</auth>"
    (challenge,) = client.take()
    assert not isinstance(challenge, type(closed))
    if not challenge.tag.endswith("challenge"):
        return challenge[0].tag.rpartition("}")[2]
    client >> f"<response {SASL}>{b64(peer.final(base64.b64decode(challenge.text or '')))}</response>"
    (outcome,) = client.take()
    assert not isinstance(outcome, type(closed))
    if outcome.tag.endswith("success"):
        assert peer.check(base64.b64decode(outcome.text or ""))
        return "success"
    return outcome[0].tag.rpartition("}")[2]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism(mechanism: str) -> None:
    play = Playbook(accounts=["alice"])
    assert scram(connected(play), mechanism, "alice", PASSWORD) == "success"
    assert scram(connected(play), mechanism, "alice", PASSWORD, authzid="alice@a.example") == "success"
    assert scram(connected(play), mechanism, "alice", "wrong") == "not-authorized"
    assert scram(connected(play), mechanism, "nobody", PASSWORD) == "not-authorized"
    assert scram(connected(play), mechanism, "b@d", PASSWORD) == "not-authorized"
    assert scram(connected(play), mechanism, "alice", PASSWORD, authzid="bob@a.example") == "invalid-authzid"


def test_the_best_is_offered_first_and_nothing_without_tls() -> None:
    play = Playbook(accounts=["alice"])
    gate = play.server.gate
    assert gate.mechanisms(True, {"tls-server-end-point": b"x"}) == (*MECHANISMS, "PLAIN")
    assert gate.mechanisms(True, {}) == (*MECHANISMS[2:], "PLAIN")
    assert gate.mechanisms(False, {}) == ()
    assert "PLAIN" not in Playbook(plain_login=False).server.gate.mechanisms(True, {})


def test_a_stable_challenge_for_unknown_names() -> None:
    play = Playbook(accounts=["alice"])
    salts = set()
    for _ in range(2):
        client = connected(play)
        client >> f"<auth {SASL} mechanism='SCRAM-SHA-1'>{b64(b'n,,n=nobody,r=x')}</auth>"
        (challenge,) = client.take()
        assert not isinstance(challenge, type(closed))
        text = base64.b64decode(challenge.text or "").decode()
        salts.add(text.split(",")[1])
        assert ",i=1," in text
    assert len(salts) == 1


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "PLAIN"])
def test_a_damaged_record_is_a_passing_failure(mechanism: str) -> None:
    play = Playbook(accounts=["alice"])
    play.server.store.put(TABLE, b"alice@a.example", CREDENTIALS, b"\1\2damaged")
    client = connected(play)
    first = b"n,,n=alice,r=x" if mechanism != "PLAIN" else b"\0alice\0pass"
    client >> f"<auth {SASL} mechanism='{mechanism}'>{b64(first)}</auth>"
    client << f"<failure {SASL}><temporary-auth-failure/></failure>"


@pytest.mark.parametrize(
    ("xml", "condition"),
    [
        ("<auth {} mechanism='X-OAUTH2'>AA==</auth>", "invalid-mechanism"),
        ("<auth {} mechanism='PLAIN'>!</auth>", "incorrect-encoding"),
        ("<auth {} mechanism='PLAIN'>=</auth>", "malformed-request"),
        ("<auth {} mechanism='SCRAM-SHA-1'>AAAA</auth>", "malformed-request"),
        ("<response {}>AAAA</response>", "malformed-request"),
        ("<abort {}/>", "malformed-request"),
        ("<auth {}/>", "invalid-mechanism"),
    ],
)
def test_nonsense(xml: str, condition: str) -> None:
    client = connected(Playbook(accounts=["alice"]))
    client >> xml.format(SASL)
    client << f"<failure {SASL}><{condition}/></failure>"


def test_abort_and_try_again() -> None:
    client = connected(Playbook(accounts=["alice"]))
    client >> f"<auth {SASL} mechanism='SCRAM-SHA-1'>{b64(b'n,,n=alice,r=x')}</auth>"
    client.take()
    client >> f"<abort {SASL}/>"
    client << f"<failure {SASL}><aborted/></failure>"
    assert scram(client, "SCRAM-SHA-1", "alice", PASSWORD) == "success"


def test_three_tries() -> None:
    client = connected(Playbook(accounts=["alice"]))
    for _ in range(2):
        assert scram(client, "SCRAM-SHA-256", "alice", "wrong") == "not-authorized"
    client >> f"<abort {SASL}/>"
    client << f"<failure {SASL}><malformed-request/></failure>"
    client << "<stream:error _='...'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    client << closed


def test_an_account_deleted_during_its_login() -> None:
    play = Playbook(accounts=["alice"])
    client = connected(play)
    peer = ScramClient("SCRAM-SHA-1", "alice", PASSWORD, "nonce")
    client >> f"<auth {SASL} mechanism='SCRAM-SHA-1'>{b64(peer.first())}</auth>"
    (challenge,) = client.take()
    assert not isinstance(challenge, type(closed))
    play.server.store.erase(b"alice@a.example")
    play.server.account_changed(ALICE, lambda: None)
    client >> f"<response {SASL}>{b64(peer.final(base64.b64decode(challenge.text or '')))}</response>"
    client << f"<failure {SASL}><not-authorized/></failure>"


@pytest.mark.parametrize("mechanism", [*MECHANISMS, "PLAIN"])
def test_a_login_unlocks_and_the_end_of_its_stream_locks(mechanism: str) -> None:
    play = Playbook(accounts=["alice"])
    client = connected(play)
    assert logged_in(client, mechanism) == "success"
    unlocked = play.server.keyring.get(OWNER)
    assert unlocked is not None
    held = unlocked.keys.secret
    assert any(held)
    client.cut()
    assert play.server.keyring.get(OWNER) is None
    assert held == bytearray(32)


@pytest.mark.parametrize("mechanism", [*MECHANISMS, "PLAIN"])
@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_a_wrong_password_unlocks_nothing(mechanism: str, name: str) -> None:
    play = Playbook(accounts=["alice"])
    assert logged_in(connected(play), mechanism, name, "wrong") == "not-authorized"
    assert len(play.server.keyring) == 0


@pytest.mark.parametrize("mechanism", [*MECHANISMS, "PLAIN"])
def test_a_damaged_wrap_lets_nobody_in(mechanism: str) -> None:
    """Of the password's mechanisms: the verifiers are as they were."""
    play = Playbook(accounts=["alice"])
    record = play.server.store.get(TABLE, OWNER, CREDENTIALS).result()
    assert record is not None
    for entry in Credentials.from_bytes(record, ALICE).entries.values():
        record = record.replace(entry.wrap, entry.wrap[:-1] + bytes([entry.wrap[-1] ^ 1]))
    assert len(record) > len(HASHES) * WRAP_BYTES
    play.server.store.put(TABLE, OWNER, CREDENTIALS, record)
    client = connected(play)
    assert logged_in(client, mechanism) == "temporary-auth-failure"
    assert logged_in(client, mechanism, password="wrong") == "not-authorized"
    assert client.stream.account is None
    assert len(play.server.keyring) == 0


def test_who_asks_to_be_somebody_else_unlocks_nothing() -> None:
    play = Playbook(accounts=["alice"])
    assert scram(connected(play), "SCRAM-SHA-1", "alice", PASSWORD, authzid="bob@a.example") == "invalid-authzid"
    assert len(play.server.keyring) == 0


def test_the_session_keeps_what_its_login_unlocked() -> None:
    play = Playbook(accounts=["alice"])
    client = play.client("alice/phone")
    unlocked = play.server.keyring.get(OWNER)
    assert unlocked is not None
    assert unlocked.leases == 1
    client >> "</stream:stream>"
    assert play.server.keyring.get(OWNER) is None


def test_a_session_that_waits_for_its_client_keeps_it() -> None:
    play = Playbook(accounts=["alice"], resume_seconds=60.0)
    client = play.client("alice/phone")
    client >> f"<enable xmlns='{ns.SM}' resume='true'/>"
    client.cut()
    play.pass_time(59)
    assert play.server.keyring.get(OWNER) is not None
    play.pass_time(2)
    assert play.server.keyring.get(OWNER) is None


def test_a_binding_that_fails_leaves_nothing_unlocked() -> None:
    play = Playbook(accounts=["alice"], sessions_per_account=1)
    first, second = play.client("alice/phone"), play.connect().authenticate("alice")
    second >> f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>"
    unlocked = play.server.keyring.get(OWNER)
    assert unlocked is not None
    assert unlocked.leases == 2  # of the session, and of the stream that may try again
    second.cut()
    first.cut()
    assert len(play.server.keyring) == 0


def logged_in(client: Client, mechanism: str, name: str = "alice", password: str = PASSWORD) -> str:
    """As `scram`, by any mechanism."""
    if mechanism != "PLAIN":
        return scram(client, mechanism, name, password)
    client >> f"<auth {SASL} mechanism='PLAIN'>{b64((NUL + name + NUL + password).encode())}</auth>"
    (outcome,) = client.take()
    assert not isinstance(outcome, type(closed))
    return "success" if outcome.tag.endswith("success") else outcome[0].tag.rpartition("}")[2]
