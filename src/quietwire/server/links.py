"""What the server may ask of a connection. Implemented by `net/stream.py` on a transport, by `testing/` on a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from quietwire.shaping.policy import Policy


class Link(Protocol):
    """One connection, either direction. Nothing here blocks, and nothing is written before the turn's end."""

    @property
    def secure(self) -> bool:
        """TLS is up."""
        ...

    @property
    def bindings(self) -> Mapping[str, bytes]:
        """Channel bindings by type (RFC 5929), for instance {"tls-server-end-point": …}; empty without TLS."""
        ...

    @property
    def tls(self) -> str:
        """The version of TLS in four hexadecimal digits, '0304' for 1.3 (XEP-0515); '' without TLS or where another
        program ends it."""
        ...

    @property
    def peer_domains(self) -> frozenset[str]:
        """Domains that the peer's certificate, valid under our authorities, stands for (RFC 6125, RFC 6120 §13.7.1.2:
        dNSName with wildcards as ``*.example``, XmppAddr, SRVName); empty without one."""
        ...

    @property
    def peer_fault(self) -> str:
        """Why there are none, a word for the log: "missing", "expired", "not-yet-valid", "not-trusted"; '' where the
        certificate is valid."""
        ...

    def put(self, data: bytes) -> None:
        """Appends to the outbox, which is the shaper."""
        ...

    def start_tls(self) -> None:
        """Writes what is in the outbox, then starts TLS. Plaintext that came after the request is thrown away.
        The stream is told by `secured()`."""
        ...

    def close(self) -> None:
        """Writes what is in the outbox, then closes; the stream is told by `lost()`. Idempotent."""
        ...

    def abort(self) -> None:
        """Closes without writing."""
        ...

    def pause(self) -> None:
        """Reads no more from the peer until `resume`. Idempotent."""
        ...

    def resume(self) -> None: ...

    def backlog(self) -> int:
        """Bytes that are not yet handed to the kernel."""
        ...

    @property
    def paced(self) -> bool:
        """It is `steady`: little leaves at a time, whatever is put. Who has much puts what `space` says, and goes on
        when the stream is told `room`."""
        ...

    @property
    def policy(self) -> Policy:
        """What goes on the wire when, from the moment that TLS is up."""
        ...

    def space(self) -> int:
        """Bytes that the next cell has room for; very many where it is not `paced`."""
        ...

    def welcome(self) -> None:
        """Somebody has logged in or resumed a session: a `steady` link opens a window (DESIGN §5)."""
        ...

    def shape(self, policy: Policy) -> bool:
        """From now on. What waits is kept, in its order. False where this link cannot be shaped."""
        ...

    @property
    def packs(self) -> bool:
        """What is put is packed."""
        ...

    def pack(self) -> bool:
        """The peer reads frames and may send them (docs/protocols/links.md): what is put is packed until the link gets
        another profile, and the stream is told to `unpack`. False where the link is not `steady`, or the stream cannot.
        """
        ...

    def unpacked(self, size: int) -> None:
        """The peer's last bytes held so many more, which count for its rate."""
        ...


class Stream(Protocol):
    """What a connection tells its stream.

    A stream may have attributes that its connection looks at: `known`, whether the peer has proved who it is (without
    it: it has), `heard`, how many first-level children have come (without it: they are not counted), and a method
    `room()`, which a link that is `paced` calls before each cell that is not full. One that can read frames has a
    method `unpack()`: from now on some may come."""

    def received(self, data: bytes) -> None: ...

    def secured(self) -> None:
        """TLS is up; the link's bindings and certificate can be read."""
        ...

    def written(self) -> None:
        """Everything put so far is in the kernel's hands."""
        ...

    def lost(self) -> None:
        """The connection is gone. Called once, whoever closed it."""
        ...
