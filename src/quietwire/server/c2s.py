"""A client's stream, from its first byte to its last (RFC 6120). What comes before a session is `negotiation.py`'s."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, Event, StreamClose, StreamOpen, StreamParser
from quietwire.core.jid import JID, JIDError
from quietwire.core.stanza import Child, Nonza, Stanza
from quietwire.core.xml import escape
from quietwire.server import c2s_sm
from quietwire.server.account import Client, Session
from quietwire.server.bound import Bound
from quietwire.server.c2s_host import Host
from quietwire.server.links import Link
from quietwire.server.negotiation import Negotiation
from quietwire.server.sealed.keyring import Lease
from quietwire.server.timers import Timer
from quietwire.shaping.frames import Unpacker

_ERROR = f"{{{ns.STREAMS}}}error"
_CLOSING = b"</stream:stream>"


class ClientStream:
    """Implements `links.Stream` and `c2s_host.Carrier`."""

    __slots__ = (
        "_busy", "_closing", "_confided", "_crowded", "_failures", "_gone", "_host", "_inbox", "_negotiation",
        "_parser", "_securing", "_timer", "_unpacker", "account", "bound", "client", "heard", "lease", "link", "open",
    )  # fmt: skip

    def __init__(self, host: Host, link: Link) -> None:
        self._host = host
        self.link = link
        self._parser = StreamParser(host.settings.limits)
        self._unpacker: Unpacker | None = None
        """Where the peer may send frames."""
        self.open = False
        self.account: JID | None = None
        self.lease: Lease | None = None
        self.client: Client | None = None
        self._failures = 0
        self.heard = 0
        """First-level children so far: what the rate of a stream is measured by."""
        self._closing = False
        self._gone = False
        self._busy = False
        self._crowded = False
        """Nothing is read since more of its own answers wait than its link takes in minutes."""
        self._inbox: deque[Child] = deque()
        self._confided = False
        """What was received last held what must not stay in memory."""
        self._securing = False
        """TLS is being negotiated: nothing may be written, and nothing read, until it is up."""
        self._negotiation: Negotiation | None = Negotiation(host, self)
        """None once the stream carries a session, or the connection is gone."""
        self.bound: Bound | None = None
        self._timer: Timer | None = host.timers.after(host.settings.unauthenticated_seconds, self._too_slow)

    @property
    def closing(self) -> bool:
        return self._closing or self._gone

    @property
    def known(self) -> bool:
        """Somebody has logged in."""
        return self.account is not None

    @property
    def suspended(self) -> bool:
        return self._busy

    # -- what the connection tells --------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if (self._closing and self._gone) or self._securing:
            return
        self._confided = False
        if self._negotiation is not None and not self._negotiation.weigh(len(data)):
            self.fail(StreamError("policy-violation", "too much before login"))
            return
        try:
            for event in self._parser.feed(data) if self._unpacker is None else self._unpack(self._unpacker, data):
                if isinstance(event, Child):
                    if self._closing:
                        continue
                    if self._busy:
                        self._wait(event)
                    else:
                        self._child(event)
                elif isinstance(event, StreamOpen):
                    self._header(event)
                elif isinstance(event, StreamClose):
                    self.close()
                elif isinstance(event, Broken):
                    raise event.error
        except StreamError as error:
            self.fail(error)
        except Exception as error:
            self._host.fault(error)
            self.fail(StreamError("internal-server-error"))

    def unpack(self) -> None:
        """From now on what the peer sends may be packed (docs/protocols/links.md)."""
        if self._unpacker is None:
            self._unpacker = Unpacker(self._host.settings.limits.stanza_bytes)

    def _unpack(self, unpacker: Unpacker, data: bytes) -> Iterator[Event]:
        parser = self._parser
        for piece, packed in unpacker.feed(data):
            if not packed:
                yield from parser.feed(piece)
                continue
            self.link.unpacked(len(piece))
            between = parser.idle
            events = parser.feed(piece)
            if not between or not (parser.idle or (events and isinstance(events[-1], Broken))):
                raise StreamError("not-well-formed", "a frame that is no stanza")
            yield from events

    def forget(self, data: bytes) -> None:
        """The last bytes that were received before the peer was known, or with which it was: the connection does not
        need them any more."""
        if self._confided:
            self._parser.forget(data)

    def secured(self) -> None:
        self._securing = False
        self.restart()

    def written(self) -> None:
        if self.bound is not None:
            self.bound.outgoing.written()

    def room(self) -> None:
        """A paced link has room in its next cell."""
        bound = self.bound
        if bound is None:
            return
        bound.outgoing.room()
        if self._crowded and bound.outgoing.eased:
            self._crowded = False
            if not self._busy:
                self.link.resume()

    def lost(self) -> None:
        self._gone = True
        self._negotiation = None
        if self._securing and not self._closing:
            self._host.note("tls-failed")
        self._parser.close()
        self._cancel_timer()
        bound, self.bound = self.bound, None
        try:
            if bound is not None:
                bound.outgoing.detach()
                self._settle_up(bound)
                if self._closing and not bound.resume_id:
                    self._host.end(bound)
                else:
                    self._host.park(bound)
        except Exception as error:
            self._host.fault(error)
        self._host.closed(self)

    def _settle_up(self, bound: Bound) -> None:
        """A request that is under way will be carried out: it counts now, since whoever resumes is told the count."""
        if self._busy:
            self._busy = False
            self._host.count(bound)

    def overflow(self) -> None:
        """The peer does not read: its outbox is full (DESIGN §4)."""
        if not self._closing:
            self._host.note("stream-outbox-full")
        self.fail(StreamError("policy-violation", "outbox full"))
        self.link.abort()

    # -- ending -----------------------------------------------------------------------------------------------------

    def fail(self, error: StreamError) -> None:
        """Sends the stream error and closes. The session of a broken stream can be resumed, except after conflict."""
        if self._closing:
            return
        if error.condition != "system-shutdown":  # of thousands at once, and "stopping" has been said
            self._host.note("stream-error", condition=error.condition)
        if self._securing:
            self._closing = True
            self._cancel_timer()
            self.link.abort()
            return
        if not self.open:
            self._send_header()
        text = f"<text xmlns='{ns.STREAM_ERRORS}' xml:lang='en'>{escape(error.text)}</text>" if error.text else ""
        condition = f"<{error.condition} xmlns='{ns.STREAM_ERRORS}'/>"
        self.link.put(f"<stream:error>{condition}{text}{error.specific}</stream:error>".encode() + _CLOSING)
        self._finish()

    def close(self) -> None:
        """The peer closes its stream, or we do: a session that is closed in order is over."""
        if self._closing:
            self.link.close()
            return
        bound = self.bound
        if bound is not None:
            bound.resume_id = ""
        if self.open:
            self.link.put(_CLOSING)
        self._finish()

    def hush(self) -> None:
        """Takes in nothing more: the server is about to stop."""
        self.link.pause()

    def shut_down(self) -> None:
        """The server stops. What is durable is acknowledged, so that nobody sends it again."""
        if self._closing:
            return
        if not self.open:
            self.link.close()
            return
        bound = self.bound
        if bound is not None:
            bound.resume_id = ""
            if bound.outgoing.enabled:
                bound.incoming.say()
        self.fail(StreamError("system-shutdown"))

    def evict(self) -> None:
        """Another stream took the resource or resumed the session."""
        bound, self.bound = self.bound, None
        if bound is not None:
            self._settle_up(bound)
        self.fail(StreamError("conflict"))

    def _finish(self) -> None:
        self._closing = True
        self._inbox.clear()
        self._cancel_timer()
        self.link.close()
        if self.bound is not None:
            # From now on nothing reaches the peer, so nothing may be taken for delivered.
            self.bound.outgoing.detach()

    def _too_slow(self) -> None:
        self._timer = None
        self.fail(StreamError("connection-timeout"))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- negotiation ------------------------------------------------------------------------------------------------

    def _header(self, header: StreamOpen) -> None:
        negotiation = self._negotiation
        if negotiation is None:
            raise StreamError("bad-format", "negotiation is over")
        to = negotiation.check(header)
        self._send_header()
        if not to:
            raise StreamError("host-unknown")
        self.link.put(negotiation.features())

    def _send_header(self) -> None:
        self.open = True
        stream_id = self._host.randomness(12).hex()
        self.link.put(
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' id='{stream_id}'"
            f" from='{escape(self._host.settings.domain.text)}' version='1.0' xml:lang='en'>".encode()
        )

    def scrub(self) -> None:
        self._confided = True
        self._parser.scrub()

    def release(self) -> None:
        """The account needs not stay unlocked for this stream any more."""
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.release()

    def restart(self) -> None:
        self._parser.reset()
        self.open = False

    def start_tls(self) -> None:
        self.restart()
        self._securing = True
        self.link.start_tls()

    def refused(self) -> None:
        self._failures += 1
        if self._failures >= self._host.settings.login_attempts:
            self.fail(StreamError("policy-violation", "too many attempts"))

    def extend(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._host.timers.after(seconds, self._too_slow)

    def begin(self, bound: Bound) -> None:
        self.bound = bound
        self.release()  # the session has a lease of its own
        self._negotiation = None
        self._cancel_timer()
        self.link.welcome()

    # -- one thing after the other ----------------------------------------------------------------------------------

    def _wait(self, child: Child) -> None:
        if len(self._inbox) >= self._host.settings.inbox_stanzas:
            raise StreamError("policy-violation", "too much at once")
        self._inbox.append(child)

    def suspend(self) -> None:
        self._busy = True
        self.link.pause()

    def go_on(self) -> None:
        self._busy = False
        if self._gone:
            return
        try:
            while self._inbox and not self._busy and not self._closing:
                self._child(self._inbox.popleft())
        except StreamError as error:
            self.fail(error)
        except Exception as error:
            self._host.fault(error)
            self.fail(StreamError("internal-server-error"))
        if not self._busy and not self._crowded:
            self.link.resume()

    def _child(self, child: Child) -> None:
        self.heard += 1
        bound = self.bound
        if bound is None:
            if self._negotiation is not None:
                self._negotiation.hear(child)
        elif isinstance(child, Stanza):
            self._stanza(bound, child)
        elif c2s_sm.hear(self._host, self.link, bound, child):
            pass
        elif child.kind == _ERROR:
            self.close()  # the peer has given up this stream and expects no answer (RFC 6120 §4.9.1.1)
        elif not isinstance(child, Nonza) or not self._host.nonza(bound, child):
            raise StreamError("unsupported-stanza-type")

    # -- a bound stream ---------------------------------------------------------------------------------------------

    def _stanza(self, bound: Bound, stanza: Stanza) -> None:
        session = bound.session
        attributes = stanza.attributes
        claimed = attributes.get("from")
        if claimed is not None and claimed not in (session.jid.text, session.account.jid.text):
            _check_from(claimed, session)
        stanza.from_ = session.jid
        to = attributes.get("to")
        if to is not None:
            try:
                stanza.to = JID.parse(to)
            except JIDError:
                stanza.attributes = {key: value for key, value in attributes.items() if key != "to"}
                if stanza.type not in ("error", "result"):
                    session.send(stanza.error("jid-malformed"))
                self._host.count(bound)
                return
        if not self._host.stanza(bound, stanza, self._handled):
            self.suspend()
        elif self.link.paced:
            self._look_back()

    def _handled(self) -> None:
        if self.bound is not None and self._busy:
            self._host.count(self.bound)
        if self.link.paced:
            self._look_back()
        self.go_on()

    def _look_back(self) -> None:
        """Does the peer ask for more than its link brings?"""
        if self.bound is not None and self.bound.outgoing.crowded and not self._crowded:
            self._crowded = True
            self.link.pause()


def _check_from(claimed: str, session: Session) -> None:
    try:
        jid = JID.parse(claimed)
    except JIDError:
        raise StreamError("invalid-from") from None
    if jid not in (session.jid, session.account.jid):
        raise StreamError("invalid-from")
