"""A DNS server on loopback with the records it is given: for tests and test beds without names of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], Sequence[str]]
"""(name without its final dot, type) -> values, as in a zone: {("b.example", "SRV"): ["0 0 5269 im.b.example."]}."""


CHAIN = 40
"""Aliases in one answer: more than any client follows."""


class Nameserver(asyncio.DatagramProtocol):
    """Answers questions over UDP. Names that are in no record do not exist; those in `mute` get no answer at all."""

    def __init__(self, records: Records, mute: frozenset[str] = frozenset()) -> None:
        self._records = {(dns.name.from_text(name), kind): list(values) for (name, kind), values in records.items()}
        self._names = {name for name, _ in self._records}
        self._mute = {dns.name.from_text(name) for name in mute}
        self._transport: asyncio.DatagramTransport | None = None
        self.asked: list[tuple[str, str]] = []
        """(name, type) of every question, in order."""

    async def open(self) -> int:
        """Listens on a free port of 127.0.0.1 and returns it."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            query = dns.message.from_wire(data)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((question.name.to_text(omit_final_dot=True), kind))
        if question.name in self._mute:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        name = question.name
        for _ in range(CHAIN):  # aliases, as a resolver follows them; two may point at each other
            alias = self._records.get((name, "CNAME"))
            if not alias or kind == "CNAME":
                break
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *alias))
            name = dns.name.from_text(alias[0])
        values = self._records.get((name, kind))
        if values:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *values))
        elif name not in self._names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), addr)
