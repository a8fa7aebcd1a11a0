"""What the client tells its user: typed, immutable, without a reference to any library.

Addresses are bare JIDs as text. `id` names the message itself (its origin-id), `ref` the message it is about. Times are
seconds since the epoch, by the sender's clock where the envelope says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from quietwire.client.trust import Trust

ChatStateName = Literal["active", "composing", "paused", "inactive", "gone"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the fields, and the event's name under ``event``."""
        return {"event": type(self).__name__, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Encrypted(Event):
    """Base of what came out of an OMEMO envelope."""

    sender: str
    """The account it was written by; proven by the ratchet, not by the server's `from`."""
    peer: str
    """The other side of the conversation: `sender`, or the addressee if one of our own devices wrote it."""
    device: int
    trust: Trust
    id: str
    stamp: float


@dataclass(frozen=True, kw_only=True)
class Message(Encrypted):
    text: str
    wants_receipt: bool = False
    markable: bool = False


@dataclass(frozen=True, kw_only=True)
class ChatState(Encrypted):
    """XEP-0085."""

    state: ChatStateName


@dataclass(frozen=True, kw_only=True)
class Receipt(Encrypted):
    """XEP-0184: the message `ref` reached a device of `sender`."""

    ref: str


@dataclass(frozen=True, kw_only=True)
class Displayed(Encrypted):
    """XEP-0333: everything up to the message `ref` was shown."""

    ref: str


@dataclass(frozen=True, kw_only=True)
class Reaction(Encrypted):
    """XEP-0444: all reactions of `sender` to the message `ref`; none means withdrawn."""

    ref: str
    emojis: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Correction(Encrypted):
    """XEP-0308: `text` replaces that of the message `ref`, which `sender` wrote."""

    ref: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Reply(Encrypted):
    """XEP-0461: `text` answers the message `ref`."""

    ref: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Retraction(Encrypted):
    """XEP-0424: `sender` takes the message `ref` back."""

    ref: str


@dataclass(frozen=True, kw_only=True)
class File(Encrypted):
    """A file is offered: `content` has it, in base64, or it lies at `url`, from where nothing is fetched unasked."""

    name: str
    """Chosen by the sender, made safe."""
    size: int
    media: str
    digest: str
    url: str = ""
    key: str = ""
    iv: str = ""
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class Sent(Event):
    """Another device of our own account sent `what` (XEP-0280); `what.peer` is the addressee."""

    what: Encrypted

    def as_dict(self) -> dict[str, Any]:
        return {"event": "Sent", "what": self.what.as_dict()}


@dataclass(frozen=True, kw_only=True)
class Undecryptable(Event):
    """A message that could not be read. A second copy of one already read is dropped silently instead."""

    sender: str
    id: str
    reason: Literal["not-for-this-device", "no-session", "distrusted", "unknown-device", "forged", "broken"]


@dataclass(frozen=True, kw_only=True)
class Unencrypted(Event):
    """A message with a body in the clear: shown as what it is, never mixed with the encrypted ones."""

    sender: str
    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class DeviceAnnounced(Event):
    """A device that was not there before, or (`changed`) one whose identity key is another than before."""

    jid: str
    device: int
    fingerprint: str
    trust: Trust
    changed: bool = False


@dataclass(frozen=True, kw_only=True)
class SubscriptionRequest(Event):
    jid: str


@dataclass(frozen=True, kw_only=True)
class Subscribed(Event):
    """`jid` granted our request: its presence and its devices' changes reach us from now on."""

    jid: str


@dataclass(frozen=True, kw_only=True)
class Available(Event):
    """A resource of `jid` is there, or not any more."""

    jid: str
    available: bool


@dataclass(frozen=True, kw_only=True)
class Connected(Event):
    """A new session began. `resent` messages of the last one had not been acknowledged and were sent again."""

    resent: int = 0


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The session went on after a cut (XEP-0198); `resent` stanzas were sent again."""

    resent: int


@dataclass(frozen=True, kw_only=True)
class Shaped(Event):
    """What the two directions of this session's link are shaped like: names of profiles. `down` is ``off`` too where
    the server cannot be asked; it may pad and pace all the same."""

    up: str
    down: str


@dataclass(frozen=True, kw_only=True)
class LinkLost(Event):
    """The connection broke; the client tries again by itself."""


@dataclass(frozen=True, kw_only=True)
class Disconnected(Event):
    """The client has given up (password changed, certificate replaced): `reason` is one line."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """A message came back as an error: `condition` is the stanza error's (RFC 6120 §8.3.3)."""

    peer: str
    id: str
    condition: str
