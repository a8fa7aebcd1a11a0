"""Everybody asks for everything. Who may not gets the defined refusal and nothing else, nothing changes, and nobody is
told anything."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from estate import CONTACT, EVERYBODY, FRIEND, LOCAL, REMOTE, Estate, condition
from table import HANDLERS, OTHERS, SEEN, Row, key

from quietwire.core.jid import parse_jid
from quietwire.core.xml import Element
from quietwire.seal.recovery import make_recovery_code
from quietwire.server.http import Request
from quietwire.server.modules import discover
from quietwire.server.registration import MIN_PASSWORD
from quietwire.testing.playbook import PASSWORD, Mark

PUBSUB = "http://jabber.org/protocol/pubsub"
OPTIONS = (
    "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
    f"{PUBSUB}#publish-options</value></field><field var='pubsub#access_model'><value>{{}}</value></field></x>"
    "</publish-options>"
)


def with_nodes(estate: Estate) -> Estate:
    for node, model in (("closed", "whitelist"), ("seen", "presence")):
        item = f"<publish node='{node}'><item id='i'><e xmlns='urn:e'/></item></publish>"
        estate.people["owner"] >> (
            f"<iq type='set' id='n'><pubsub xmlns='{PUBSUB}'>{item}{OPTIONS.format(model)}</pubsub></iq>"
        )
    estate.people["owner"] >> "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Alice</FN></vCard></iq>"
    estate.calm()
    return estate


@cache
def common() -> Estate:
    """For those who are refused: it stays as it is, or the test fails."""
    return with_nodes(Estate())


def test_every_handler_has_a_row() -> None:
    found = {name for module in discover() for handler in module.handlers if (name := key(module.name, handler))}
    assert found == {row.handler for row in HANDLERS} | OTHERS.keys()
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f"def {test}(" in here for test in OTHERS.values())


@pytest.mark.parametrize("row", HANDLERS, ids=lambda row: row.name)
def test_who_may_not(row: Row) -> None:
    estate = common()
    before = estate.stored()
    for kind in EVERYBODY:
        if kind in row.may:
            continue
        answers = estate.asks(kind, request(row, estate, kind))
        expected = row.foreign if kind in REMOTE and row.foreign else row.refusal
        allowed = {expected}
        if row.handler.startswith("session set") and kind == "owner":
            allowed = {"not-allowed"}
        if "unsubscribe" in row.payload and kind in ("owner", CONTACT):
            allowed |= {"forbidden", "unexpected-request"}
        if "jid='alice@a.example'" in row.payload and "seen" in row.payload:
            allowed |= {"bad-request"} if kind in (CONTACT, FRIEND) else set()
        assert [condition(answer) in allowed for answer in answers] == [True], (kind, answers)
        assert not any("<item" in answer for answer in answers if condition(answer) == "result"), kind
        assert estate.heard() == [], kind
        assert estate.stored() == before, kind


@pytest.mark.parametrize("row", [row for row in HANDLERS if row.may], ids=lambda row: row.name)
def test_who_may(row: Row) -> None:
    """The refusals above are not for another reason."""
    for kind in sorted(row.may):
        estate = with_nodes(Estate())
        answers = estate.asks(kind, request(row, estate, kind))
        got = [condition(answer) for answer in answers if answer.startswith("<iq") and "type='set'" not in answer]
        assert got in (["result"], ["item-not-found"]) if "revoke" in row.handler else got == ["result"], answers


def request(row: Row, estate: Estate, kind: str) -> str:
    payload = row.payload.replace("{me}", estate.address(kind).bare.text)
    return f"<iq type='{row.kind}' id='q' to='{row.to}'>{payload}</iq>"


@pytest.mark.parametrize(("kind", "payload"), SEEN, ids=[payload for _, payload in SEEN])
def test_pubsub_of_a_node_one_may_see(kind: str, payload: str) -> None:
    """Who may read it may not change it; who may not read it is told that it is not there."""
    estate = common()
    before = estate.stored()
    for who in EVERYBODY[1:]:
        [answer] = estate.asks(who, f"<iq type='{kind}' id='q' to='alice@a.example'>{payload}</iq>")
        assert condition(answer) == ("forbidden" if who in (CONTACT, FRIEND) else "item-not-found"), who
        assert estate.heard() == []
        assert estate.stored() == before


@pytest.mark.parametrize("row", HANDLERS, ids=lambda row: row.name)
@pytest.mark.parametrize("secure", [True, False])
def test_nobody_who_has_not_logged_in(row: Row, secure: bool) -> None:
    estate = common()
    before = estate.stored()
    stranger = estate.connect(secure=secure).header()
    stranger >> request(row, estate, "owner")
    refused = [condition(each) for each in map(_shown, stranger.take())]
    estate.clients.remove(stranger)
    if secure and "jabber:iq:register" in row.payload and row.to == "a.example":
        assert refused == ["not-allowed"]
    else:
        assert refused == ["not-authorized" if secure else "policy-violation", "closed"]
    assert estate.heard() == []
    assert estate.stored() == before


def _shown(each: Element | Mark) -> str:
    """The condition of an error of a stanza or of the stream."""
    if isinstance(each, Mark):
        return repr(each)
    error = each if each.tag.endswith("}error") else next(child for child in each if child.tag.endswith("}error"))
    return error[0].tag.rpartition("}")[2]


@pytest.mark.parametrize("kind", [kind for kind in EVERYBODY if kind != "owner"])
@pytest.mark.parametrize("tag", ["inactive", "active"])
def test_what_is_no_stanza_needs_a_session(kind: str, tag: str) -> None:
    """It concerns the session on which it comes, and there is no way to say another one."""
    estate = Estate()
    nonza = f"<{tag} xmlns='urn:xmpp:csi:0' to='alice@a.example/pad'/>"
    if kind in LOCAL:
        estate.people[kind] >> nonza
        assert [entry for entry in estate.heard() if "alice" in entry] == []
    stranger = estate.connect().header()
    stranger >> nonza
    assert [_shown(each) for each in stranger.take()] == ["not-authorized", "closed"]
    estate.people["contact"] >> "<message to='alice@a.example/pad' type='chat'><body>now</body></message>"
    assert sum("<body>now</body>" in each for each in estate.heard()) == 1


def test_binding_needs_a_login() -> None:
    estate = Estate()
    stranger = estate.connect().header()
    stranger >> "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:carbons:2'/></bind>"
    assert [_shown(each) for each in stranger.take()] == ["not-authorized", "closed"]
    stranger = estate.connect().authenticate("carol")
    stranger >> "<enable xmlns='urn:xmpp:carbons:2'/>"
    assert [_shown(each) for each in stranger.take()] == ["unsupported-stanza-type", "closed"]


REGISTER = "<query xmlns='jabber:iq:register'>{}</query>"
FILLED = REGISTER.format("<username>mallory</username><password>a-long-password</password>")


@pytest.mark.parametrize(
    ("kind", "payload", "refusal"),
    [
        ("set", "<preauth xmlns='urn:xmpp:pars:0' token='guess'/>", "item-not-found"),
        ("set", "<preauth xmlns='urn:xmpp:pars:0'/>", "item-not-found"),
        ("get", REGISTER.format(""), "not-allowed"),
        ("set", FILLED, "not-allowed"),
        ("set", REGISTER.format("<remove/>"), "not-allowed"),
    ],
)
def test_before_login_a_token_is_needed(kind: str, payload: str, refusal: str) -> None:
    estate = common()
    before = estate.stored()
    for secure in (True, False):
        stranger = estate.connect(secure=secure).header()
        stranger >> f"<iq type='{kind}' id='r'>{payload}</iq>"
        got = [_shown(each) for each in stranger.take()]
        estate.clients.remove(stranger)
        assert got == ([refusal] if secure else ["policy-violation", "closed"])
        assert estate.stored() == before
        assert estate.heard() == []


def page(estate: Estate, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for route, base in estate.server.router.http:
        if route.method == method and path.startswith(route.path.removesuffix("*")):
            context = estate.server.router.context(base, None, None)
            answer = estate.run(route.handler(context, Request(method, path, {}, headers, body)))
            return answer.status, answer.body
    raise AssertionError(path)


def test_pages_for_everybody_tell_nothing_of_accounts() -> None:
    estate = common()
    before = estate.stored()
    for path in ("/.well-known/host-meta", "/.well-known/host-meta.json"):
        _, body = page(estate, "GET", path)
        assert not any(name in body for name in (b"alice", b"root", b"closed"))
    assert estate.heard() == []
    assert estate.stored() == before


def test_the_page_of_an_invitation_needs_its_token() -> None:
    estate = Estate()
    good, _ = estate.server.invitations.make(parse_jid("alice@a.example"), days=1, register=True, contact=True)
    short, _ = estate.server.invitations.make(parse_jid("alice@a.example"), days=1, register=False, contact=True)
    before = estate.stored()
    password = "x" * MIN_PASSWORD
    form = f"name=mallory&password={password}&again={password}".encode()
    wrong = ("", "x", good[:-1], good + "x", f"../{good}", f"{good}/..", good + "\0", "\u00e9" * 99)
    seen = {page(estate, "GET", f"/invite/{token}") for token in wrong}
    assert len(seen) == 1, "one page for all"
    assert {page(estate, "POST", f"/invite/{token}", form) for token in (*wrong, short)} == seen
    assert b"alice" not in seen.pop()[1]
    assert estate.stored() == before
    assert estate.heard() == []
    assert page(estate, "POST", f"/invite/{good}", form)[0] == 200
    made = estate.stored()
    estate.heard()
    again = form.replace(b"mallory", b"second")
    assert page(estate, "POST", f"/invite/{good}", again) == page(estate, "GET", "/invite/x")
    assert estate.stored() == made


def test_a_request_with_anything_but_a_good_token_waits() -> None:
    """A request for subscription with a token of somebody else, a used, an invented one: it is one like any other."""
    estate = Estate()
    others, _ = estate.server.invitations.make(parse_jid("bob@a.example"), days=1, register=False, contact=True)
    good, _ = estate.server.invitations.make(parse_jid("alice@a.example"), days=1, register=False, contact=True)
    asks = "<presence type='subscribe' to='alice@a.example'><preauth xmlns='urn:xmpp:pars:0' token='{}'/></presence>"
    for token in ("", "x", others, good[:-1]):
        assert estate.asks("outsider", asks.format(token)) == []
        assert [each for each in estate.heard() if "type='subscribe'" not in each] == []
        assert estate.server.accounts.loaded[parse_jid("alice@a.example")].roster.get(parse_jid("eve@b.example"))
    roster = estate.server.accounts.loaded[parse_jid("alice@a.example")].roster
    for kind, let_in in (("user", True), ("outsider", False)):
        estate.asks(kind, asks.format(good))
        contact = roster.get(estate.address(kind).bare)
        assert contact is not None
        assert contact.sees_user is let_in


def test_the_page_for_recovery_needs_the_code() -> None:
    """Online or away, with a code or without one, with another's or no account: one answer, and nothing changes."""
    estate = Estate()
    run, admin = estate.run, estate.server.admin
    codes = {name: run(admin.make_recovery(name, PASSWORD)) for name in ("alice", "asleep")}
    before = estate.stored()
    password = "x" * MIN_PASSWORD
    form = f"name={{}}&code={{}}&password={password}&again={password}"

    def attempt(name: str, code: str) -> tuple[int, bytes]:
        status, body = page(estate, "POST", "/recover", form.format(name, code).encode())
        return status, body.replace(f'value="{name}"'.encode(), b"")

    other = make_recovery_code(estate.randomness)
    tries = [(name, other) for name in ("alice", "asleep", "bob", "nobody")]
    tries += [(name, codes["asleep"]) for name in ("alice", "bob", "nobody")]
    assert len({attempt(*each) for each in tries}) == 1
    assert estate.stored() == before
    assert estate.heard() == []
    assert attempt("asleep", codes["asleep"])[0] == 200
    assert estate.stored() != before


def test_who_may_replace_a_password_may_not_destroy_by_mistake() -> None:
    """Nobody but an administrator gets as far as being told what would be lost: `COMMANDS`."""
    estate = Estate()
    before = estate.stored()
    node = "http://jabber.org/protocol/admin#change-user-password"
    fields = "<field var='accountjid'><value>asleep@a.example</value></field>"
    fields += "<field var='password'><value>another password</value></field>"
    for kind in EVERYBODY:
        for confirmed in ("", "<field var='destroy-sealed-data'><value>1</value></field>"):
            if kind == "admin" and confirmed:
                continue
            form = f"<x xmlns='jabber:x:data' type='submit'>{fields}{confirmed}</x>"
            command = f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'>{form}</command>"
            [answer] = estate.asks(kind, f"<iq type='set' id='q' to='a.example'>{command}</iq>")
            assert ("would destroy" in answer) is (kind == "admin"), kind
            assert estate.stored() == before
            assert estate.heard() == []
