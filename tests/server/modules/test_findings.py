from __future__ import annotations

from quietwire.server.modules.findings import MODULE, text
from quietwire.server.sealed.findings import Findings, finding
from quietwire.testing.assembly import Assembly

ALICE = b"alice@a.example"


def house() -> tuple[Assembly, Findings]:
    findings = Findings(lambda event, **facts: None, lambda owner: owner)
    house = Assembly((MODULE,), extra={"findings": findings})
    house.add("alice@a.example")
    return house, findings


def test_its_owner_is_told_once_and_when_there() -> None:
    home, findings = house()
    findings.report(ALICE, (finding("sealed", b"1", b""), finding("sealed", b"2", b"")))
    alice = home.log_in("alice@a.example/x")
    alice.write("<presence><priority>-1</priority></presence>")
    assert not any("<message" in each for each in alice.take())
    alice.write("<presence/>")
    [told] = [each for each in alice.take() if "<message" in each]
    assert told == f"<message from='a.example' to='alice@a.example'><body>{text(2)}</body></message>"
    alice.write("<presence><show>away</show></presence>")
    assert not any("<message" in each for each in alice.take())
    findings.report(ALICE, (finding("sealed", b"3", b""),))
    alice.write("<presence/>")
    assert any(text(1) in each for each in alice.take())


def test_nobody_else_is() -> None:
    home, findings = house()
    home.add("bob@a.example")
    findings.report(ALICE, (finding("sealed", b"1", b""),))
    bob = home.log_in("bob@a.example/x")
    bob.write("<presence/>")
    assert not any("<message" in each for each in bob.take())


def test_the_text_says_how_many_and_is_one_line() -> None:
    assert text(1).startswith("One entry of what this server keeps for you was not")
    assert text(3).startswith("3 entries of what this server keeps for you were not")
    assert not set(text(2)) & set("<>&\n")
