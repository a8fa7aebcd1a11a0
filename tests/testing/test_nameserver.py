from __future__ import annotations

import asyncio

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import pytest

from quietwire.testing.nameserver import Nameserver


def ask(server: Nameserver, *questions: tuple[str, str], timeout: float = 5.0) -> list[dns.message.Message]:
    async def scene() -> list[dns.message.Message]:
        port = await server.open()
        try:
            return [
                await dns.asyncquery.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout, port)
                for name, kind in questions
            ]
        finally:
            server.close()

    return asyncio.run(scene())


def test_answers_from_its_records() -> None:
    server = Nameserver(
        {("b.example", "A"): ["127.0.0.1", "127.0.0.2"], ("_x._tcp.b.example", "SRV"): ["1 2 3 b.example."]}
    )
    found, srv, none, missing = ask(
        server, ("B.example", "A"), ("_x._tcp.b.example", "SRV"), ("b.example", "AAAA"), ("c.example", "A")
    )
    assert {record.to_text() for record in found.answer[0]} == {"127.0.0.1", "127.0.0.2"}
    assert srv.answer[0][0].to_text() == "1 2 3 b.example."
    assert (none.answer, none.rcode()) == ([], dns.rcode.NOERROR)
    assert (missing.answer, missing.rcode()) == ([], dns.rcode.NXDOMAIN)
    assert server.asked[-1] == ("c.example", "A")


def test_can_be_mute() -> None:
    with pytest.raises(dns.exception.Timeout):
        ask(Nameserver({}, mute=frozenset({"b.example"})), ("b.example", "A"), timeout=0.05)


def test_nonsense_is_passed_over() -> None:
    server = Nameserver({})
    server.datagram_received(b"nonsense", ("127.0.0.1", 1))
    assert server.asked == []


def test_aliases_are_followed_and_may_go_in_a_circle() -> None:
    server = Nameserver(
        {
            ("a.example", "CNAME"): ["b.example."],
            ("b.example", "A"): ["127.0.0.1"],
            ("x.example", "CNAME"): ["y.example."],
            ("y.example", "CNAME"): ["x.example."],
        }
    )
    found, circle, alias = ask(server, ("a.example", "A"), ("x.example", "A"), ("a.example", "CNAME"))
    assert [one.to_text() for one in found.answer] == [
        "a.example. 60 IN CNAME b.example.",
        "b.example. 60 IN A 127.0.0.1",
    ]
    assert {one.name.to_text() for one in circle.answer} == {"x.example.", "y.example."}
    assert [one.to_text() for one in alias.answer] == ["a.example. 60 IN CNAME b.example."]
