"""The client: connect, talk, know whose devices listen. Everything that is said goes through OMEMO 2."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quietwire.client.events import ChatStateName, Event
from quietwire.client.trust import Decision, Policy, Trust


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a client needs. Nothing of it is ever logged."""

    jid: str
    """Bare JID of the account."""
    password: str = field(repr=False)
    """Of the account, for SCRAM."""
    store: Path
    """The SQLite file; made with mode 0600 if it is not there."""
    passphrase: str | None = field(default=None, repr=False)
    """Opens the store (Argon2id). None: the key is kept in the system's keyring."""
    address: tuple[str, int] | None = None
    """Host and port instead of SRV records. The certificate is still checked for the JID's domain."""
    direct_tls: bool = True
    """With `address`: direct TLS (XEP-0368), or STARTTLS if False."""
    ca_file: Path | None = None
    """PEM. Only authorities in it are believed; None: the system's."""
    resource: str | None = None
    """None: the server chooses, which says least."""
    policy: Policy = Policy.BTBV


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A roster item (RFC 6121 §2)."""

    jid: str
    subscription: str
    """``none``, ``to``, ``from`` or ``both``."""
    pending: bool = False
    """We asked and have no answer yet."""


@dataclass(frozen=True, kw_only=True)
class Device:
    jid: str
    device: int
    fingerprint: str
    """Eight groups of eight hex digits (XEP-0384 §Security Considerations)."""
    trust: Trust
    active: bool
    """Whether it is on the account's device list now."""
    own: bool
    """Whether it is this device."""


class Client:
    """One device of one account. Use as ``async with Client(settings) as client``, or `connect` and `close`."""

    def __init__(self, settings: Settings) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Client:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    async def connect(self, timeout: float = 30.0) -> None:
        """Opens the store, logs in, publishes this device, sends presence. Afterwards it reconnects by itself.

        Raises ClientError (one line): wrong passphrase, wrong password, no certificate, nobody there.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Waits up to 2 s for outstanding acknowledgements, then closes stream and store. Idempotent."""
        raise NotImplementedError

    def drop_link(self) -> None:
        """Aborts the TCP connection, as a network cut does. The client resumes by itself."""
        raise NotImplementedError

    @property
    def jid(self) -> str:
        """Bare JID."""
        raise NotImplementedError

    @property
    def device(self) -> int:
        """This device's OMEMO id."""
        raise NotImplementedError

    def events(self) -> AsyncIterator[Event]:
        """All events in order, from `connect` on; ends after `close`. For one consumer."""
        raise NotImplementedError

    async def send_text(self, to: str, text: str) -> str:
        """Returns the origin-id. Raises NoDevices if nobody could read it. Queued while the link is down."""
        raise NotImplementedError

    async def send_chat_state(self, to: str, state: ChatStateName) -> str:
        raise NotImplementedError

    async def send_receipt(self, to: str, ref: str) -> str:
        raise NotImplementedError

    async def send_displayed(self, to: str, ref: str) -> str:
        raise NotImplementedError

    async def send_reaction(self, to: str, ref: str, emojis: Sequence[str]) -> str:
        raise NotImplementedError

    async def send_correction(self, to: str, ref: str, text: str) -> str:
        raise NotImplementedError

    async def send_reply(self, to: str, ref: str, text: str, author: str | None = None) -> str:
        """`author`: bare JID of who wrote `ref`; None: `to`."""
        raise NotImplementedError

    async def send_retraction(self, to: str, ref: str) -> str:
        raise NotImplementedError

    async def drained(self, timeout: float = 10.0) -> bool:
        """Waits until the server has acknowledged everything sent (XEP-0198). False: not within `timeout`."""
        raise NotImplementedError

    async def subscribe(self, jid: str) -> None:
        raise NotImplementedError

    async def accept(self, jid: str) -> None:
        """Grants `jid` our presence."""
        raise NotImplementedError

    async def deny(self, jid: str) -> None:
        raise NotImplementedError

    def roster(self) -> list[Contact]:
        """The cache, which is there before `connect` returns and kept up to date."""
        raise NotImplementedError

    async def devices(self, jid: str | None = None) -> list[Device]:
        """Known devices of `jid`; None: our own account's."""
        raise NotImplementedError

    async def decide(self, jid: str, fingerprint: str, decision: Decision) -> Device:
        """Verify or distrust the device with that fingerprint (spaces and case do not matter)."""
        raise NotImplementedError

    def history(self, jid: str, last: int = 50) -> list[Event]:
        """The last encrypted messages exchanged with `jid`, oldest first; own ones as `Sent`."""
        raise NotImplementedError
