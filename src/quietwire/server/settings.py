"""What the server is told at its start. The composition root reads it from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quietwire.core.framing import Limits
from quietwire.core.jid import JID


@dataclass(frozen=True, slots=True)
class Settings:
    domain: JID
    iterations: int = 100_000
    """SCRAM iterations of new passwords (DESIGN §6)."""
    limits: Limits = field(default_factory=Limits)
    unauthenticated_bytes: int = 65_536
    """What a connection may send before it has logged in: headers, a certificate's worth of SASL, no more."""
    unauthenticated_seconds: float = 90.0
    """Time to log in: a phone on a bad network needs ten, and @xmpp/client twenty for the iterations of SCRAM alone."""
    login_attempts: int = 3
    """On one connection (RFC 6120 §6.4.5 asks for at least 2)."""
    preauth_requests: int = 12
    """Answered on one connection before login: a token, a form, a few names that are taken (XEP-0077)."""
    registration_seconds: float = 300.0
    """Time to log in for somebody who was answered before login: people think of a name and a password meanwhile."""
    resume_seconds: float = 300.0
    """How long a session waits for its client (XEP-0198 §5)."""
    sessions_per_account: int = 32
    """Bound resources of one account; its stanzas go to each of them."""
    inbox_stanzas: int = 8_192
    """Waiting while a handler is suspended. The reader is paused then, but one read may hold 256 KB, and a client that
    says much at once, thousands of `<r/>` among it, is in its right."""
    spool_stanzas: int = 2_000
    """Offline messages of one account."""
    spool_bytes: int = 16 << 20
    token_seconds: float = 86_400.0
    """How long a client may log in with a token instead of the password (XEP-0484); 0: never."""
    plain_login: bool = True
    """Offer PLAIN, on TLS only."""
    modules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`[modules.NAME]` tables."""
    federation: bool = True
    admins: frozenset[JID] = frozenset()
    """Accounts, bare JIDs of this domain, that may give administrators' commands."""
