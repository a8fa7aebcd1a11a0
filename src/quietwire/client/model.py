"""What a client is told at its start, and what it says of contacts and devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from quietwire.client.trust import Policy, Trust
from quietwire.shaping.policy import Policy as LinkPolicy


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
    link: LinkPolicy = field(default_factory=LinkPolicy)
    """How our direction of the link is shaped; the server is asked for the same in its own. Under `steady` no chat
    states are sent, and receipts and markers wait a while for a message to the same person."""


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
