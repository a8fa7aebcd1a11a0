"""TLS contexts, what a channel is bound to, and whom a peer's certificate stands for.

TLS 1.2 at least, ECDHE only and no session tickets: recorded traffic stays closed to whoever steals a key later
(DESIGN §6). Other servers' chains are judged after the handshake (`net/verify.py`), names by the stream, which knows
the domain.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from quietwire.core.errors import ConfigError
from quietwire.core.jid import JID, JIDError
from quietwire.net.verify import PeerContext, Verifier, chain_of, choose_by_name, take_any

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; all suites of 1.3 are of this kind."""
_CLEANSE_PLAINTEXT = 1 << 1
"""SSL_OP_CLEANSE_PLAINTEXT (OpenSSL 3.0), for which `ssl` has no name: what was read is overwritten in OpenSSL's own
buffers."""
_XMPP_ADDR = "1.3.6.1.5.5.7.8.5"
_SRV_NAME = "1.3.6.1.5.5.7.8.7"
_SRV_PREFIXES = ("_xmpp-server.", "_xmpps-server.")
_UTF8_STRING = 0x0C
_IA5_STRING = 0x16
_NO_BINDING: Mapping[str, bytes] = MappingProxyType({})


Pair = tuple[Path, Path]
"""PEM files: a certificate's chain, its own first, and its key."""
_ALONE: Mapping[str, Pair] = MappingProxyType({})


def client_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For connections from clients. PEM files. Raises ConfigError."""
    context = _server_side(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    context.set_alpn_protocols(["xmpp-client"])
    return context


def web_context(certificate: Path, key: Path, named: Mapping[str, Pair] = _ALONE) -> ssl.SSLContext:
    """For the web port. PEM files; `named`: of domains that have their own. Raises ConfigError."""
    context = _server_side(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    choose_by_name(context, {domain: web_context(*pair) for domain, pair in named.items()})
    return context


def server_listen_context(
    certificate: Path, key: Path, authority: Path | None, named: Mapping[str, Pair] = _ALONE
) -> PeerContext:
    """For connections from other servers: a certificate is asked for, and judged later.

    `authority` signs the peers' certificates; None means the system's authorities. `named`: certificates of domains of
    ours that have their own. Raises ConfigError.
    """
    return _listen(certificate, key, Verifier(authority), named)


def _listen(certificate: Path, key: Path, verifier: Verifier, named: Mapping[str, Pair]) -> PeerContext:
    context = _server_side(PeerContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    context.set_alpn_protocols(["xmpp-server"])
    context.verifier = verifier
    take_any(context)
    context.named = {domain: _listen(*pair, verifier, {}) for domain, pair in named.items()}
    choose_by_name(context, context.named)
    return context


def server_dial_context(
    certificate: Path, key: Path, authority: Path | None, named: Mapping[str, Pair] = _ALONE
) -> PeerContext:
    """For connections to other servers, whose certificates are judged later. The same arguments. Raises ConfigError."""
    return _dial(certificate, key, Verifier(authority), named)


def _dial(certificate: Path, key: Path, verifier: Verifier, named: Mapping[str, Pair]) -> PeerContext:
    context = PeerContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # OpenSSL knows neither SRVName nor XmppAddr (RFC 6120 §13.7.1.2)
    context.verify_mode = ssl.CERT_NONE  # `verifier` and `s2s_open` judge, before a word is said
    _harden(context)
    _load(context, certificate, key)
    context.set_alpn_protocols(["xmpp-server"])
    context.verifier = verifier
    context.named = {domain: _dial(*pair, verifier, {}) for domain, pair in named.items()}
    return context


def user_dial_context(verifier: Verifier) -> PeerContext:
    """For a user's connections to their server, with no certificate of our own; `verifier` judges the server's."""
    context = PeerContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # judged before a word is said, as with other servers
    _harden(context)
    context.set_alpn_protocols(["xmpp-client"])
    context.verifier = verifier
    return context


_C = TypeVar("_C", bound=ssl.SSLContext)


def _server_side(context: _C, certificate: Path, key: Path) -> _C:
    _harden(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    _load(context, certificate, key)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | _CLEANSE_PLAINTEXT
    context.set_ciphers(_CIPHERS)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    own_certificate(certificate)  # says which of the two files is wrong
    try:
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "not the PEM key of the certificate"
        raise ConfigError(str(key), "tls.key", f"an unencrypted PEM key: {reason}") from None


def own_certificate(path: Path) -> bytes:
    """Our certificate, the first of the PEM file, as DER. Raises ConfigError."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(str(path), "tls.certificate", f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(str(path), "tls.certificate", "a PEM file, our own certificate first") from None
    return found[0].public_bytes(Encoding.DER)


SOON_DAYS = 14.0
"""A certificate that is good for less should have been renewed: those that renew themselves do it 30 days before."""


def own_expiry(path: Path) -> float:
    """When our certificate, the first of the PEM file, ends: seconds since the epoch. Raises ConfigError."""
    return x509.load_der_x509_certificate(own_certificate(path)).not_valid_after_utc.timestamp()


@lru_cache(maxsize=16)  # our own certificates: one, or a few while one is being replaced
def channel_bindings(certificate: bytes) -> Mapping[str, bytes]:
    """{"tls-server-end-point": hash of the server's certificate, DER} by RFC 5929 §4.1: the hash of its signature,
    SHA-256 instead of MD5 and SHA-1; empty where the signature has no such hash (Ed25519)."""
    try:
        used = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        used = None
    if used is None:
        return _NO_BINDING
    if used.name in ("md5", "sha1"):
        used = hashes.SHA256()
    digest = hashes.Hash(used)
    digest.update(certificate)
    return MappingProxyType({"tls-server-end-point": digest.finalize()})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a peer's certificate is worth: `Link.peer_domains` and `Link.peer_fault`."""

    domains: frozenset[str] = frozenset()
    fault: str = "missing"


NOTHING = Shown()


def shown_by(connection: ssl.SSLObject | ssl.SSLSocket) -> Shown:
    """Judges the certificate of the other end. Only a context for other servers asks for one."""
    context = connection.context
    if not isinstance(context, PeerContext):
        return NOTHING
    chain = chain_of(connection)
    judged = context.verifier.judge(chain)
    if judged.fault:
        return Shown(frozenset(), judged.fault)
    return Shown(certificate_domains(chain[0].public_bytes(Encoding.DER), dns_only=judged.limited), "")


def certificate_domains(certificate: bytes, *, dns_only: bool = False) -> frozenset[str]:
    """Domains that a certificate (DER) stands for, as `JID.domain` writes them, wildcards as ``*.example``.

    Common names are not looked at (RFC 9525 §2). What cannot be read stands for nothing. `dns_only`: nor SRVName and
    XmppAddr; limits of an authority bind DNS names alone, and one that is limited could put anybody's domain there.
    """
    try:
        names = (
            x509.load_der_x509_certificate(certificate)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value
        )
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return frozenset()
    domains: set[str] = set()
    for name in names:
        if isinstance(name, x509.DNSName):
            wild = name.value.startswith("*.")
            domain = _domain(name.value[2:] if wild else name.value)
            if domain:
                domains.add(f"*.{domain}" if wild else domain)
        elif isinstance(name, x509.OtherName) and not dns_only:
            domain = _other_name(name)
            if domain:
                domains.add(domain)
    return frozenset(domains)


def _other_name(name: x509.OtherName) -> str:
    kind = name.type_id.dotted_string
    if kind == _XMPP_ADDR:
        return _domain(_string(name.value, _UTF8_STRING))
    if kind == _SRV_NAME:
        text = _string(name.value, _IA5_STRING)
        for prefix in _SRV_PREFIXES:
            if text.lower().startswith(prefix):
                return _domain(text[len(prefix) :])
    return ""


def _domain(text: str) -> str:
    """'' for what is no domain."""
    try:
        jid = JID.parse(text)
    except JIDError:
        return ""
    return jid.domain if jid.is_domain else ""


def _string(der: bytes, tag: int) -> str:
    """The text of one DER string of that type whose length fits one or two octets; '' for anything else."""
    if len(der) < 2 or der[0] != tag:
        return ""
    if der[1] < 0x80:
        length, start = der[1], 2
    elif der[1] == 0x81 and len(der) > 2:
        length, start = der[2], 3
    else:
        return ""  # no domain name is longer
    if len(der) != start + length:
        return ""
    try:
        return der[start:].decode()
    except UnicodeDecodeError:
        return ""
