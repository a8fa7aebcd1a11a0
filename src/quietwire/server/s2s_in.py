"""The streams that other servers have open to us (`s2s_in_stream.py`), and what of them waits to be resumed (XEP-0198
§5)."""

from __future__ import annotations

from quietwire.server.links import Link
from quietwire.server.s2s import Common
from quietwire.server.s2s_in_stream import RESUME_SECONDS, IncomingServerStream, Outward
from quietwire.server.s2s_traffic import Traffic
from quietwire.server.timers import Timer


class Incoming:
    """The streams that other servers have open. `accept` takes a new connection."""

    def __init__(self, common: Common, outward: Outward) -> None:
        self.common = common
        self.outward = outward
        self._open: set[IncomingServerStream] = set()
        self._parked: dict[str, tuple[Traffic, Timer]] = {}

    @property
    def streams(self) -> int:
        """Connections that are not yet gone."""
        return len(self._open)

    def accept(self, link: Link) -> IncomingServerStream:
        stream = IncomingServerStream(link, self)
        self._open.add(stream)
        return stream

    def gone(self, stream: IncomingServerStream) -> None:
        """The connection of `stream` is lost."""
        self._open.discard(stream)

    def shut_down(self) -> None:
        for stream in list(self._open):
            stream.shut_down()
        for resume_id in list(self._parked):
            self._forget(resume_id)

    # -- resumption ---------------------------------------------------------------------------------------------------

    def carrier(self, resume_id: str) -> IncomingServerStream | None:
        """The stream that is still connected under that id, though its peer knows better."""
        return next((stream for stream in self._open if stream.traffic.resume_id == resume_id), None)

    def park(self, traffic: Traffic) -> None:
        """Keeps what a lost connection carried until its peer comes back."""
        resume_id = traffic.resume_id
        self._parked[resume_id] = traffic, self.common.timers.after(RESUME_SECONDS, lambda: self._forget(resume_id))
        self.outward.parted(traffic, resumable=True)

    def _forget(self, resume_id: str) -> None:
        parked = self._parked.pop(resume_id, None)
        if parked is not None:
            traffic, timer = parked
            timer.cancel()
            self.drop(traffic)

    def drop(self, traffic: Traffic) -> None:
        """Nobody will come back for it."""
        traffic.close()
        self.outward.parted(traffic, resumable=False)

    def unpark(self, resume_id: str, theirs: str, ours: str) -> Traffic | None:
        """The traffic that waits under that id, if it is that pair's."""
        if not resume_id:
            return None  # the name of all that cannot be resumed
        stream = self.carrier(resume_id)
        if stream is not None and (theirs, ours) in stream.traffic.pairs:
            stream.displace()
        parked = self._parked.get(resume_id)
        if parked is None or (theirs, ours) not in parked[0].pairs or not parked[0].resume_id:
            return None
        del self._parked[resume_id]
        parked[1].cancel()
        return parked[0]
