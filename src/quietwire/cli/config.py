"""The configuration file: one TOML file, of which only `domain` must be given.

Every mistake is one line: file, key, what is allowed.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from quietwire.core.errors import ConfigError
from quietwire.core.framing import Limits
from quietwire.core.jid import JID, JIDError
from quietwire.net import doors
from quietwire.seal.server_key import Source
from quietwire.server.s2s_policy import Authentication, Policy
from quietwire.server.settings import Settings
from quietwire.shaping import policy as shaping
from quietwire.shaping.bounds import BOUNDS
from quietwire.shaping.bucket import Rates
from quietwire.shaping.presets import PRESETS

Port = Annotated[int, Field(ge=0, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Certificate(_Table):
    """Of one domain below ours, where it is not in the certificate of `[tls]`."""

    certificate: Path
    key: Path


class Tls(_Table):
    """Certificates, PEM."""

    certificate: Path = Path("certificate.pem")
    """The chain, our own first."""
    key: Path = Path("key.pem")
    authority: Path | None = None
    """Who signs other servers' certificates, instead of the system's authorities."""
    domains: dict[str, Certificate] = {}

    def named(self) -> dict[str, tuple[Path, Path]]:
        """The files of `domains`."""
        return {domain: (own.certificate, own.key) for domain, own in self.domains.items()}


class Listen(_Table):
    """Where to listen. Port 0 means not at all."""

    address: str = ""
    """One address; empty for all."""
    c2s: Port = 5222
    """Clients, STARTTLS."""
    c2s_tls: Port = 5223
    """Clients, TLS from the first byte (XEP-0368)."""
    c2s_local: Port = 0
    """Clients without TLS, on 127.0.0.1 only, for what does TLS on this machine: a proxy, an onion service, a test."""
    s2s: Port = 5269
    s2s_tls: Port = 5270
    https: Port = 5443
    """The web port: WebSocket, uploads, invitations."""
    http: Port = 0
    """The same without TLS, on 127.0.0.1 only, for a reverse proxy that does TLS."""


ProfileName = Literal["off", "padded", "jitter", "steady"]
PresetName = Literal["desktop", "phone", "server"]


def _within(name: str) -> Any:
    least, most = BOUNDS[name]
    return Field(ge=least, le=most)


class _Shape(_Table):
    """What goes on the wire when. What is None is as the preset has it."""

    delay: Annotated[float, _within("delay")] | None = None
    batch: Annotated[float, _within("batch")] | None = None
    pad: bool | None = None
    garbage: Annotated[float, _within("garbage")] | None = None
    cell: Annotated[int, _within("cell")] | None = None
    """16,382: the longest TLS record."""
    tick: Annotated[float, _within("tick")] | None = None
    fast_tick: Annotated[float, _within("fast_tick")] | None = None
    window: Annotated[float, _within("window")] | None = None
    bulk_every: Annotated[float, _within("bulk_every")] | None = None
    queue: Annotated[int, _within("queue")] | None = None

    def _made(self, profile: str, preset: shaping.Policy, **others: Any) -> shaping.Policy:
        given = {key: value for key in _Shape.model_fields if (value := getattr(self, key)) is not None}
        return replace(preset, profile=shaping.Profile(profile), **{**others, **given})


class ServerLinks(_Shape):
    """Of links with other servers."""

    profile: ProfileName | None = None
    preset: PresetName = "server"
    block: Annotated[int, _within("block")] | None = None


class Links(_Shape):
    """Of clients' links."""

    profile: ProfileName = "off"
    preset: PresetName = "desktop"
    block: Annotated[int, _within("block")] = 512
    """`padded`: every TLS 1.3 record is a multiple of this many bytes."""
    padding: Literal["records", "spaces"] = "records"
    """`padded`: TLS 1.3 pads all records of the process, or spaces follow what is written."""
    s2s: ServerLinks = ServerLinks()

    @model_validator(mode="after")
    def _can_be_kept(self) -> Links:
        self.policy()
        self.server_policy()
        return self

    def policy(self) -> shaping.Policy:
        """Of clients' links. Raises ValueError for what cannot be kept."""
        return self._made(self.profile, PRESETS[self.preset], block=self.block)

    def server_policy(self) -> shaping.Policy:
        """Of links with other servers: the same profile where nothing else is said, with the delays of clients' links
        and cells of its own."""
        s2s, own = self.s2s, {"block": self.s2s.block or self.block}
        names = ("delay", "batch", "pad", "garbage")
        delays = {key: value for key in names if (value := getattr(self, key)) is not None}
        return s2s._made(s2s.profile or self.profile, PRESETS[s2s.preset], **own, **delays)


class LimitsTable(_Table):
    stanza_bytes: Annotated[int, Field(ge=10_000, le=16 << 20)] = 262_144
    """RFC 6120 §13.12 allows nothing under 10,000."""
    depth: Annotated[int, Field(ge=16, le=400)] = 100
    attributes: Annotated[int, Field(ge=16, le=1000)] = 64
    unauthenticated_bytes: Annotated[int, Field(ge=4096)] = 65_536
    unauthenticated_seconds: Annotated[float, Field(gt=0)] = 90.0
    resume_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    sessions_per_account: Annotated[int, Field(ge=1, le=1000)] = 32
    strangers: Annotated[int, Field(ge=10, le=100_000)] = 1_000
    """Connections that have not logged in; further ones wait in the kernel."""
    strangers_per_network: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Of them, from one IPv4 address or IPv6 /64; further ones are closed."""

    def doors(self) -> doors.Limits:
        return doors.Limits(self.strangers, self.strangers_per_network)


class RatesTable(_Table):
    """What one client's stream may send; 0 is no limit. Who is faster is read more slowly. Other servers have theirs a
    domain, in `[federation]`."""

    client_bytes: Annotated[float, Field(ge=0)] = 1_000_000.0
    client_stanzas: Annotated[float, Field(ge=0)] = 2_000.0
    burst_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 4.0

    def clients(self) -> Rates:
        return Rates(self.client_bytes, self.client_stanzas, self.burst_seconds)


class Login(_Table):
    iterations: Annotated[int, Field(ge=4096, le=10_000_000)] = 100_000
    """SCRAM iterations of new passwords."""
    plain: bool = True
    """Offer PLAIN too, on TLS only."""
    token_hours: Annotated[float, Field(ge=0, le=720)] = 24.0
    """How long a client may log in with a token instead of the password (XEP-0484); 0: never."""


class Override(_Table):
    """Where a domain is, instead of what DNS says."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 5269
    tls: Literal["starttls", "direct"] = "starttls"


class FederationTable(_Table):
    enabled: bool = True
    override: dict[str, Override] = {}
    resolver: str | None = None
    """A DNS server to ask instead of the system's, "address" or "address:port"."""
    authentication: Authentication = "certificate"
    """How other servers prove who they are: see `server.s2s_policy`."""
    allow: list[str] = []
    """The only domains to talk to, "example.org" or "*.example.org" for all below it; empty: all."""
    refuse: list[str] = []
    """Domains never to talk to."""
    domain_bytes: Annotated[float, Field(ge=0)] = 8_000_000.0
    """What one domain may send a second over all its streams; 0 is no limit."""
    domain_stanzas: Annotated[float, Field(ge=0)] = 20_000.0
    connections_per_domain: Annotated[int, Field(ge=1)] = 20
    """Authenticated streams that one domain may have open to us."""
    log_domains: bool = False
    """Name other domains in the log, instead of a tag that lasts until the next start."""

    @field_validator("allow", "refuse")
    @classmethod
    def _patterns(cls, patterns: list[str]) -> list[str]:
        return [_pattern(pattern) for pattern in patterns]

    def policy(self) -> Policy:
        return Policy(
            authentication=self.authentication,
            allow=tuple(self.allow),
            refuse=tuple(self.refuse),
            rates=Rates(self.domain_bytes, self.domain_stanzas),
            connections_per_domain=self.connections_per_domain,
            name_domains=self.log_domains,
        )


def _pattern(text: str) -> str:
    """As `Policy` has it."""
    if text == "*":
        return text
    wild = text.startswith("*.")
    try:
        jid = JID.parse(text[2:] if wild else text)
    except JIDError:
        raise ValueError('domains, for instance "example.org" or "*.example.org"') from None
    if not jid.is_domain:
        raise ValueError("domains without user or resource")
    return f"*.{jid.domain}" if wild else jid.domain


class WebTable(_Table):
    url: str = ""
    """What browsers call the web port, where it is not https://DOMAIN:PORT."""
    origins: list[str] = ["*"]
    """Web pages that may open a WebSocket, "https://chat.example"; "*": all."""

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https://[^/?#\s]+(/[^?#\s]*)?", value):
            raise ValueError("a URL, for instance https://chat.example")
        return value.rstrip("/")


class AdminTable(_Table):
    """Who may give administrators' commands (XEP-0050) with a client."""

    jids: tuple[str, ...] = ()

    @field_validator("jids")
    @classmethod
    def _jids(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = [JID.parse(value) for value in values]
        except JIDError:
            raise ValueError("addresses of accounts, for instance me@example.org") from None
        if not all(jid.local and not jid.resource for jid in found):
            raise ValueError("addresses of accounts, for instance me@example.org")
        return tuple(jid.text for jid in found)


class Process(_Table):
    """What of this process' memory may get to a disk."""

    core_dumps: bool = False
    """Let a crash leave a core dump, keys and all."""
    lock_memory: bool = True
    """Keep keys out of swap, where the system lets us."""


class Log(_Table):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Table):
    domain: str
    data: Path = Path("data")
    """The database and the control socket; made if missing."""
    server_key: str = "server.key"
    """Where the server key or its passphrase comes from: a `seal.server_key.Source`. Outside of the data directory, so
    that a stolen database is not stolen with it; a file is made if missing."""
    tls: Tls = Tls()
    listen: Listen = Listen()
    links: Links = Links()
    limits: LimitsTable = LimitsTable()
    rates: RatesTable = RatesTable()
    login: Login = Login()
    federation: FederationTable = FederationTable()
    web: WebTable = WebTable()
    admin: AdminTable = AdminTable()
    process: Process = Process()
    log: Log = Log()
    modules: dict[str, dict[str, bool | int | float | str]] = {}

    @field_validator("server_key")
    @classmethod
    def _server_key(cls, value: str) -> str:
        return str(Source.parse(value))

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        try:
            jid = JID.parse(value)
        except JIDError:
            raise ValueError("a domain name, for instance example.org") from None
        if not jid.is_domain:
            raise ValueError("a domain name without user or resource")
        return jid.text

    def key_source(self) -> Source:
        """`server_key`, read."""
        return Source.parse(self.server_key)

    def web_url(self) -> str:
        """Where browsers find the web port, without a slash at the end; '' where there is none."""
        listen = self.listen
        if self.web.url or not (listen.https or listen.http):
            return self.web.url
        port = "" if listen.https in (0, 443) else f":{listen.https}"
        return f"https://{self.domain}{port}"

    def web_origins(self) -> list[str]:
        """Of the pages that may open a WebSocket: our own may always."""
        own = re.match(r"https://[^/]+", self.web_url())
        return [*self.web.origins, own[0]] if own else self.web.origins

    def settings(self) -> Settings:
        limits = self.limits
        return Settings(
            domain=JID.parse(self.domain),
            iterations=self.login.iterations,
            limits=Limits(limits.stanza_bytes, limits.depth, limits.attributes),
            unauthenticated_bytes=limits.unauthenticated_bytes,
            unauthenticated_seconds=limits.unauthenticated_seconds,
            resume_seconds=limits.resume_seconds,
            sessions_per_account=limits.sessions_per_account,
            plain_login=self.login.plain,
            token_seconds=self.login.token_hours * 3600,
            modules=self.modules,
            federation=self.federation.enabled,
            admins=frozenset(JID.parse(jid) for jid in self.admin.jids),
        )


def load(path: Path) -> Config:
    """Reads the file; relative paths in it start at its folder. Raises ConfigError."""
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), "file", "not found; `quietwire quickstart` makes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "file", f"cannot be read: {unreadable(error)}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "file", f"not TOML: {error}") from None
    try:
        config = Config.model_validate(raw)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(str(path), key, _allowed(str(first["type"]), str(first["msg"]))) from None
    _check_modules(path, config)
    base = path.resolve().parent
    tls = config.tls
    return config.model_copy(
        update={
            "data": base / config.data,
            "server_key": str(_key_source(path, base, config)),
            "tls": tls.model_copy(
                update={
                    "certificate": base / tls.certificate,
                    "key": base / tls.key,
                    "authority": base / tls.authority if tls.authority else None,
                    "domains": {
                        domain: Certificate(certificate=base / own.certificate, key=base / own.key)
                        for domain, own in tls.domains.items()
                    },
                }
            ),
        }
    )


def _key_source(path: Path, base: Path, config: Config) -> Source:
    """Raises ConfigError for a file in the data folder."""
    source = config.key_source()
    if source.place != "file":
        return source
    name = base / source.name
    if name.resolve().is_relative_to((base / config.data).resolve()):
        raise ConfigError(
            str(path), "server_key", "a place outside of `data`: who copies the database must not have the key as well"
        )
    return replace(source, name=str(name))


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, for people."""
    return (error.strerror or "no reason given") if isinstance(error, OSError) else "not UTF-8"


def _allowed(kind: str, message: str) -> str:
    if kind == "missing":
        return "must be given"
    if kind == "extra_forbidden":
        return "no such key; docs/configuration.md lists them"
    return message.removeprefix("Value error, ")


def _check_modules(path: Path, config: Config) -> None:
    from quietwire.server.module import Setting
    from quietwire.server.modules import discover

    modules = {module.name: module for module in discover()}
    known = {name: {h.key: h.default for h in m.handlers if isinstance(h, Setting)} for name, m in modules.items()}
    for name, settings in config.modules.items():
        if name not in known:
            raise ConfigError(str(path), f"modules.{name}", f"no such module; there are {', '.join(sorted(known))}")
        for key, value in settings.items():
            if key not in known[name]:
                allowed = ", ".join(sorted(known[name])) or "none"
                raise ConfigError(str(path), f"modules.{name}.{key}", f"no such key; there are {allowed}")
            wanted = type(known[name][key])
            if type(value) is not wanted:
                raise ConfigError(str(path), f"modules.{name}.{key}", f"a value of type {wanted.__name__}")
        try:
            modules[name].state(settings)  # now, so that a reload cannot fail when half of it is in force
        except ConfigError as error:
            raise ConfigError(str(path), f"modules.{name}.{error.key}", error.allowed) from None
