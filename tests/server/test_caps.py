from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from quietwire.core.jid import JID, parse_jid
from quietwire.core.stanza import Iq, Presence, Stanza
from quietwire.core.xml import Element, build, parse
from quietwire.server import caps as caps_file
from quietwire.server.account import Account
from quietwire.server.caps import Caps, Claim, IllFormed, claim, make_c, verification, verified
from quietwire.server.disco import info
from quietwire.server.module import Services

ALICE, BOB, EVE = parse_jid("alice@a.example"), parse_jid("bob@b.example/x"), parse_jid("eve@e.example/x")


def query(inner: str) -> Element:
    return parse(f"<query xmlns='http://jabber.org/protocol/disco#info'>{inner}</query>".encode(), "jabber:client")


EXODUS = query(
    "<identity category='client' name='Exodus 0.9.1' type='pc'/><feature var='http://jabber.org/protocol/muc'/>"
    "<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/disco#info'/>"
    "<feature var='http://jabber.org/protocol/caps'/>"
)
PSI_FORM = (
    "<x xmlns='jabber:x:data' type='result'>"
    "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
    "<field var='software_version'><value>0.11</value></field><field var='os_version'><value>10.5.1</value></field>"
    "<field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>"
    "<field var='os'><value>Mac</value></field><field var='software'><value>Psi</value></field></x>"
)
PSI_REST = (
    "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
    "<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>"
    "<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
    "<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>"
)


def test_the_simple_vector_of_the_specification() -> None:
    assert verification(EXODUS, "sha-1") == "QgayPKawpkPSDYmwT/WM94uAlu0="


def test_the_complex_vector_of_the_specification() -> None:
    assert verification(query(PSI_REST + PSI_FORM), "sha-1") == "q07IKJEyjvHSyhy//CH0CxmKi8w="


@pytest.mark.parametrize(
    "form",
    [
        PSI_FORM.replace("type='hidden'", "type='text-single'"),
        PSI_FORM.replace("FORM_TYPE", "something"),
    ],
)
def test_a_form_without_a_hidden_type_does_not_count(form: str) -> None:
    assert verification(query(PSI_REST + form), "sha-1") == verification(query(PSI_REST), "sha-1")


@pytest.mark.parametrize(
    "inner",
    [
        "<feature var='a'/><feature var='a'/>",
        "<identity category='client' type='pc'/><identity category='client' type='pc'/>",
        PSI_FORM + PSI_FORM,
        PSI_FORM.replace("</value></field><field", "</value><value>other</value></field><field", 1),
        "<feature var='a&lt;b'/>",
        "<identity category='client' type='pc' name='a&lt;b'/>",
        PSI_FORM.replace("Mac", "Mac&lt;x"),
        PSI_FORM.replace("var='os'", "var='os&lt;x'"),
        PSI_FORM.replace("softwareinfo", "softwareinfo&lt;x"),
    ],
)
def test_ill_formed_answers_are_refused(inner: str) -> None:
    with pytest.raises(IllFormed):
        verification(query(inner), "sha-1")
    assert verified(query(inner), Claim("n", "v", "sha-1")) is None


def test_octets_sort_not_characters() -> None:
    # U+FF5E sorts before U+1F600 in UTF-8 and after it in UTF-16.
    one, other = query("<feature var='～'/><feature var='😀'/>"), query("<feature var='😀'/><feature var='～'/>")
    assert verification(one, "sha-256") == verification(other, "sha-256")


def test_what_a_presence_claims() -> None:
    def said(attributes: dict[str, str]) -> Claim | None:
        return claim(Presence.make(children=(build(caps_file.C, attributes),)))

    assert said({"node": "n", "ver": "v", "hash": "sha-1"}) == Claim("n", "v", "sha-1")
    assert said({"node": "n", "ver": "0.9", "ext": "a b"}) is None
    assert said({"node": "n", "ver": "v" * 300, "hash": "sha-1"}) is None
    assert claim(Presence.make()) is None


def test_our_own_is_the_hash_of_our_answer() -> None:
    answer = info((("server", "im", "Quietwire"),), ("x", "y")).query()
    element = make_c("urn:n", answer)
    assert element.attrib == {"hash": "sha-1", "node": "urn:n", "ver": verification(answer, "sha-1")}


class Clients(Services):
    """Services that write down what is asked; the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Iq, Callable[[Iq | None], None]]] = []

    def ask(self, iq: Iq, answered: Callable[[Iq | None], None]) -> None:
        self.asked.append((iq, answered))

    def answer(self, answer: Element | None, type: str = "result") -> JID:
        """The oldest question; returns who was asked."""
        iq, answered = self.asked.pop(0)
        assert iq.to is not None
        answered(None if answer is None else Iq.make(type=type, id="x", from_=iq.to, to=iq.from_, children=(answer,)))
        return iq.to

    def send(self, stanza: Stanza) -> None:
        raise NotImplementedError

    def account(self, bare: JID) -> Account | None:
        raise NotImplementedError

    def exists(self, bare: JID) -> bool:
        raise NotImplementedError

    async def load(self, bare: JID) -> Account | None:
        raise NotImplementedError

    def spawn(self, work: Awaitable[None]) -> None:
        raise NotImplementedError


TUNE = query("<feature var='tune+notify'/>")
FEATURES = frozenset(("tune+notify",))
TRUE = Claim("http://client.example", verification(TUNE, "sha-1"), "sha-1")


def test_an_unknown_string_is_asked_once_for_all_who_claim_it() -> None:
    caps, clients, got = Caps(), Clients(), []
    for full in (BOB, EVE):
        caps.learn(clients, TRUE, ALICE, full, got.append)
    [(iq, _)] = clients.asked
    assert iq.to_bytes().decode() == (
        f"<iq from='alice@a.example' to='bob@b.example/x' type='get'><query "
        f"xmlns='http://jabber.org/protocol/disco#info' node='http://client.example#{TRUE.ver}'/></iq>"
    )
    assert got == []
    clients.answer(TUNE)
    assert got == [FEATURES, FEATURES]
    caps.learn(clients, TRUE, ALICE, EVE, got.append)
    assert len(got) == 3
    assert clients.asked == []


@pytest.mark.parametrize("bad", [query("<feature var='other'/>"), query("<feature var='a'/><feature var='a'/>"), None])
def test_an_answer_that_does_not_hold_poisons_nobody(bad: Element | None) -> None:
    caps, clients = Caps(), Clients()
    eve: list[frozenset[str]] = []
    bob: list[frozenset[str]] = []
    caps.learn(clients, TRUE, ALICE, EVE, eve.append)
    caps.learn(clients, TRUE, ALICE, BOB, bob.append)
    assert clients.answer(bad) == EVE
    assert clients.answer(TUNE) == BOB
    assert (eve, bob) == ([], [FEATURES])


def test_when_nobody_answers_the_next_presence_asks_again() -> None:
    caps, clients, got = Caps(), Clients(), []
    caps.learn(clients, TRUE, ALICE, BOB, got.append)
    clients.answer(TUNE, type="error")
    caps.learn(clients, TRUE, ALICE, BOB, got.append)
    clients.answer(TUNE)
    assert got == [FEATURES]


def test_a_hash_we_cannot_compute_counts_for_its_client_alone() -> None:
    caps, clients, got = Caps(), Clients(), []
    odd = Claim("n", "v", "sha3-256")
    for full in (BOB, EVE):
        caps.learn(clients, odd, ALICE, full, got.append)
    assert [clients.answer(TUNE), clients.answer(None)] == [BOB, EVE]
    assert got == [FEATURES]


def test_the_least_recently_used_is_forgotten() -> None:
    caps, clients = Caps(size=2), Clients()
    answers = [query(f"<feature var='{n}'/>") for n in range(3)]
    claims = [Claim("n", verification(answer, "sha-1"), "sha-1") for answer in answers]

    def learn(n: int) -> bool:
        """Whether it had to ask."""
        caps.learn(clients, claims[n], ALICE, BOB, lambda features: None)
        asked = bool(clients.asked)
        if asked:
            clients.answer(answers[n])
        return asked

    assert [learn(n) for n in (0, 1, 0, 2, 0, 1)] == [True, True, False, True, False, True]


def test_bounds_on_those_that_wait_and_on_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps_file, "MAX_WAITING", 2)
    monkeypatch.setattr(caps_file, "MAX_ASKED", 1)
    caps, clients, got = Caps(), Clients(), []
    for _ in range(3):
        caps.learn(clients, TRUE, ALICE, BOB, got.append)
    caps.learn(clients, Claim("n", "other", "sha-1"), ALICE, BOB, got.append)
    assert len(clients.asked) == 1
    clients.answer(TUNE)
    assert got == [FEATURES, FEATURES]


def test_a_client_with_megabytes_of_features_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps_file, "MAX_FEATURES", 10)
    caps, clients, got = Caps(), Clients(), []
    caps.learn(clients, TRUE, ALICE, BOB, got.append)
    clients.answer(TUNE)
    assert got == [frozenset()]
