"""A connection on a list, for tests of streams: nothing is sent, everything is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quietwire.server.links import Stream
from quietwire.shaping.policy import Policy, Profile


class FakeLink:
    """Implements `links.Link`. Make it, make the stream on it, then let `peer` speak:

    >>> link = FakeLink()
    >>> link.stream = stream = SomeStream(link, …)
    >>> link.says("<stream:stream …>")
    >>> link.take()
    """

    def __init__(
        self,
        *,
        secure: bool = False,
        peer_domains: Iterable[str] = (),
        bindings: Mapping[str, bytes] | None = None,
        peer_fault: str = "",
    ) -> None:
        """`peer_domains`, `peer_fault` and `bindings` can be read once TLS is up."""
        self.secure = secure
        self.stream: Stream | None = None
        self.tls_wanted = False
        """`start_tls` was called and TLS is not up yet."""
        self.closed = False
        self.aborted = False
        self.paused = False
        self.gone = False
        """The stream was told `lost`."""
        self._domains = frozenset(peer_domains)
        self._bindings = dict(bindings or {})
        self._fault = peer_fault
        self._out = bytearray()
        self._pending = 0
        self.paced = False
        self.packs = False
        self.held = 0
        """Bytes that frames held, of all that was unpacked."""
        self.policy = Policy()
        self.room = 0
        """What a paced link has room for; `flushes` makes none."""
        self.welcomes = 0

    # -- what a test does ---------------------------------------------------------------------------------------

    def says(self, data: str | bytes) -> None:
        """The peer's bytes arrive."""
        self._stream.received(data.encode() if isinstance(data, str) else data)

    def take(self) -> str:
        """What the stream has put since the last call."""
        data = bytes(self._out)
        self._out.clear()
        return data.decode()

    def secures(self) -> None:
        """The TLS handshake that was asked for succeeds."""
        assert self.tls_wanted
        self.tls_wanted = False
        self.secure = True
        self._stream.secured()

    def flushes(self) -> None:
        """The kernel takes everything put so far."""
        self._pending = 0
        self._stream.written()

    def has_room(self, size: int) -> None:
        """A paced link has room in its next cell."""
        self.room = size
        room = getattr(self._stream, "room", None)
        if room is not None:
            room()

    def breaks(self) -> None:
        """The connection is lost, as it is after `close` or `abort`."""
        assert not self.gone
        self.gone = True
        self._stream.lost()

    @property
    def _stream(self) -> Stream:
        assert self.stream is not None
        return self.stream

    # -- links.Link -----------------------------------------------------------------------------------------------

    @property
    def bindings(self) -> Mapping[str, bytes]:
        return self._bindings if self.secure else {}

    @property
    def tls(self) -> str:
        return "0304" if self.secure else ""

    @property
    def peer_domains(self) -> frozenset[str]:
        return self._domains if self.secure else frozenset()

    @property
    def peer_fault(self) -> str:
        return self._fault if self.secure else "missing"

    def put(self, data: bytes) -> None:
        assert not self.closed, "put after close"
        self._out += data
        self._pending += len(data)
        self.room -= len(data)

    def start_tls(self) -> None:
        assert not self.secure
        assert not self.tls_wanted
        self.tls_wanted = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def backlog(self) -> int:
        return self._pending

    def space(self) -> int:
        return self.room if self.paced else 1 << 30

    def welcome(self) -> None:
        self.welcomes += 1

    def shape(self, policy: Policy) -> bool:
        self.policy = policy
        self.packs = self.packs and policy.profile is Profile.STEADY
        return True

    def pack(self) -> bool:
        """What is put stays as it is: the stream alone is under test."""
        self.packs = self.policy.profile is Profile.STEADY
        unpack = getattr(self.stream, "unpack", None)
        if self.packs and unpack is not None:
            unpack()
        return self.packs

    def unpacked(self, size: int) -> None:
        self.held += size
