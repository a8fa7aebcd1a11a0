"""XEP-0215: External Service Discovery. STUN and TURN servers for calls, with credentials that expire.

The credentials are those of coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00 §2.2): the user name is a
time, a colon and something, the password its HMAC, so that the TURN server needs to ask nobody. The something is a
random number, another one for each request: the TURN server is not told who calls.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from quietwire.core.errors import ConfigError, StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.module import Context, IqGet, Module, Setting, Xep

NS: Final = "urn:xmpp:extdisco:2"
_SERVICES: Final = f"{{{NS}}}services"
_CREDENTIALS: Final = f"{{{NS}}}credentials"
_SERVICE: Final = f"{{{NS}}}service"
_URI: Final = re.compile(
    r"(?P<type>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:?\[\]]+)"
    r"(:(?P<port>\d{1,5}))?(\?transport=(?P<transport>udp|tcp))?"
)
_SHORTEST: Final = 300
"""Seconds that credentials are good for: a call that has begun must not lose its relay."""


@dataclass(frozen=True, slots=True)
class Service:
    type: str
    host: str
    port: str
    transport: str

    @property
    def restricted(self) -> bool:
        """It wants credentials."""
        return self.type.startswith("turn")

    def element(self, credentials: Mapping[str, str]) -> Element:
        own = {"type": self.type, "host": self.host, "port": self.port, "transport": self.transport}
        return build(_SERVICE, {**own, **(credentials if self.restricted else {})})


@dataclass(frozen=True, slots=True)
class State:
    services: tuple[Service, ...]
    secret: bytes
    seconds: int

    def credentials(self, now: float, nonce: bytes) -> dict[str, str]:
        """Attributes of a service that wants them."""
        # Rounded up: the exact time of a request is nobody's business.
        step = self.seconds // 2
        expires = (int(now) // step + 3) * step
        username = f"{expires}:{nonce.hex()}"
        digest = hmac.new(self.secret, username.encode(), hashlib.sha1).digest()
        return {
            "username": username,
            "password": base64.b64encode(digest).decode(),
            "expires": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "restricted": "true",
        }


def read(settings: Mapping[str, Any]) -> State:
    """Raises ConfigError."""
    services = tuple(map(_service, str(settings.get("services", "")).split()))
    secret, seconds = str(settings.get("secret", "")), int(settings.get("seconds", 43_200))
    if seconds < _SHORTEST:
        raise ConfigError("modules.external-services", "seconds", f"{_SHORTEST} at least")
    if not secret and any(service.restricted for service in services):
        raise ConfigError("modules.external-services", "secret", "what turnserver.conf has as static-auth-secret")
    return State(services, secret.encode(), seconds)


def _service(uri: str) -> Service:
    found = _URI.fullmatch(uri)
    if found is None or int(found["port"] or 1) not in range(1, 65_536):
        raise ConfigError(
            "modules.external-services", "services", "URIs like turn:relay.example:3478?transport=udp, spaces between"
        )
    secure = found["type"].endswith("s")
    return Service(
        found["type"],
        found["host"].strip("[]"),
        found["port"] or ("5349" if secure else "3478"),
        found["transport"] or ("tcp" if secure else "udp"),
    )


async def on_services(context: Context, iq: Iq) -> Iq:
    state = _admit(context)
    wanted = iq.payload.get("type")
    given = _credentials(context)
    found = (service.element(given) for service in state.services if wanted in (None, service.type))
    return iq.result(build(_SERVICES, {} if wanted is None else {"type": wanted}, *found))


async def on_credentials(context: Context, iq: Iq) -> Iq:
    state = _admit(context)
    asked = iq.payload.find(_SERVICE)
    if asked is None or not asked.get("host") or not asked.get("type"):
        raise StanzaError("bad-request")
    host, kind, port = asked.get("host"), asked.get("type"), asked.get("port")
    found = [s for s in state.services if (s.host, s.type) == (host, kind) and port in (None, s.port)]
    if not found:
        raise StanzaError("item-not-found")
    given = _credentials(context)
    return iq.result(build(_CREDENTIALS, None, *(service.element(given) for service in found)))


def _credentials(context: Context) -> dict[str, str]:
    given: dict[str, str] = context.state.credentials(context.now, context.ports["randomness"](8))
    return given


def _admit(context: Context) -> State:
    """Relays cost money: they are for the server's own users."""
    state = context.state
    assert isinstance(state, State)
    if context.account is not None:
        raise StanzaError("service-unavailable")
    if context.session is None:
        raise StanzaError("forbidden")
    return state


MODULE = Module(
    name="external-services",
    xep=Xep(215, "1.0.0"),
    features=(NS,),
    handlers=(
        IqGet(_SERVICES, on_services),
        IqGet(_CREDENTIALS, on_credentials),
        Setting("services", "", "STUN and TURN servers: URIs like turn:relay.example:3478?transport=udp."),
        Setting("secret", "", "The secret shared with them: static-auth-secret in coturn's configuration."),
        Setting("seconds", 43_200, "How long their credentials are good for at least; 300 or more."),
    ),
    keeps=(),
    emits="one reply per request, to the server's own users",
    needs=("randomness",),
    state=read,
)
