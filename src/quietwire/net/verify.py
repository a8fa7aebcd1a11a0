"""Other servers' certificates: asked for, taken whatever they are, judged afterwards.

OpenSSL judges a certificate during the handshake, and `ssl` lets nobody else speak: one that is self-signed, expired,
or not meant for clients ends the connection, though dialback might still say who the peer is and authorities no longer
grant clientAuth to servers. So the handshake takes any certificate, and `Verifier` judges it by the rules of
`cryptography` (docs/adr/0011).
"""

from __future__ import annotations

import _ssl
import contextlib
import ctypes
import re
import ssl
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from quietwire.core.errors import ConfigError

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL)
_DEPTH = 8
"""Certificates between theirs and the authority's: two are usual."""
_USES = {
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}
_LAST_KNOWN_PYTHON = (3, 14)
"""The newest whose context object begins as `take_any` needs it; checked by hand."""


@dataclass(frozen=True, slots=True)
class Judgement:
    fault: str
    """'' for nothing, "missing", "expired", "not-yet-valid" or "not-trusted"."""
    limited: bool = False
    """An authority in the chain may sign for certain names only (RFC 5280 §4.2.1.10)."""


class Verifier:
    """Judges chains. `authority` signs the peers' certificates; None: the system's authorities. Raises ConfigError."""

    def __init__(self, authority: Path | None) -> None:
        self._store = verification.Store(_authorities(authority))

    def judge(self, chain: Sequence[x509.Certificate], now: datetime | None = None) -> Judgement:
        """What a peer's chain is worth, its own certificate first. Whose it is is not looked at."""
        if not chain:
            return Judgement("missing")
        now = now or datetime.now(UTC)
        leaf = chain[0]
        if leaf.not_valid_after_utc < now:
            return Judgement("expired")
        if leaf.not_valid_before_utc > now:
            return Judgement("not-yet-valid")
        verifier = (
            verification.PolicyBuilder()
            .store(self._store)
            .time(now)
            .max_chain_depth(_DEPTH)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=_LEAF)
            .build_client_verifier()
        )
        try:
            verified = verifier.verify(leaf, list(chain[1:]))
        except (verification.VerificationError, ValueError):
            return Judgement("not-trusted")
        return Judgement("", any(map(_limits_names, verified.chain[1:])))


def _limits_names(authority: x509.Certificate) -> bool:
    try:
        authority.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return False
    return True


def _fit_for_servers(
    policy: verification.Policy, certificate: x509.Certificate, use: x509.ExtendedKeyUsage | None
) -> None:
    """RFC 6120 §13.7.1.1 asks for none; one that is meant for mail alone is no server's."""
    if use is not None and not _USES & set(use):
        raise ValueError("not meant for TLS")


def _may_sign(policy: verification.Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Private authorities often say nothing at all here."""
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("may not sign certificates")


def _is_authority(policy: verification.Policy, certificate: x509.Certificate, basic: x509.BasicConstraints) -> None:
    if not basic.ca:
        raise ValueError("no authority")


_AGNOSTIC = verification.Criticality.AGNOSTIC
_LEAF = verification.ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, _AGNOSTIC, _fit_for_servers)
_AUTHORITY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, _AGNOSTIC, _may_sign)
)


def _authorities(authority: Path | None) -> list[x509.Certificate]:
    if authority is not None:
        try:
            found = _certificates(authority)
        except OSError as error:
            raise ConfigError(str(authority), "tls.authority", f"a PEM file: {error.strerror}") from None
        if not found:
            raise ConfigError(str(authority), "tls.authority", "a PEM file of certificates: no certificate in it")
        return found
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        found = _certificates(Path(paths.cafile))
    else:
        files = sorted(Path(paths.capath).iterdir()) if paths.capath else []
        found = [certificate for file in files if file.is_file() for certificate in _certificates(file)]
    if not found:
        raise ConfigError("tls", "authority", "must be given: this system has no authorities of its own")
    return list(dict.fromkeys(found))


def _certificates(file: Path) -> list[x509.Certificate]:
    found = []
    for block in _PEM.findall(file.read_bytes()):
        # One that cannot be read signs nothing; one with an odd serial number is no affair of ours.
        with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):
            found.append(x509.load_pem_x509_certificate(block.replace(b" TRUSTED ", b" ")))
    return found


class PeerContext(ssl.SSLContext):
    """For connections with other servers. `named` has a context for each domain of ours with a certificate of its own;
    this one is for the others."""

    verifier: Verifier
    named: Mapping[str, ssl.SSLContext] = {}

    def for_domain(self, ours: str) -> ssl.SSLContext:
        """What shows the certificate of that domain of ours."""
        return self.named.get(ours, self)


def choose_by_name(context: ssl.SSLContext, named: Mapping[str, ssl.SSLContext]) -> None:
    """Clients that name one of these domains (SNI) are shown its certificate, others that of `context`."""
    if not named:
        return

    def chosen(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        found = named.get(name.lower()) if name else None
        if found is not None:
            connection.context = found

    context.sni_callback = chosen


def chain_of(connection: ssl.SSLObject | ssl.SSLSocket) -> list[x509.Certificate]:
    """What the peer showed, its own certificate first; [] for nothing, or nothing that can be read."""
    own = connection.getpeercert(True)
    if own is None:
        return []
    of: Any = connection
    # Python 3.13 has it in public, and as bytes; those before behind a name of their own.
    shown = of.get_unverified_chain if hasattr(of, "get_unverified_chain") else of._sslobj.get_unverified_chain
    try:
        rest = [one if isinstance(one, bytes) else one.public_bytes(_ssl.ENCODING_DER) for one in shown() or ()]
        # On the listening side OpenSSL leaves the peer's own out of the chain, and not every Python puts it back.
        return [x509.load_der_x509_certificate(der) for der in dict.fromkeys([own, *rest])]
    except ValueError:
        return []


_Judge = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


_any = _Judge(lambda preverified, store: 1)
"""OpenSSL's verify callback: goes on, whatever it thinks of the certificate."""


def take_any(context: ssl.SSLContext) -> bool:
    """Has a listening context ask for a certificate and go on whatever comes. False where this Python gives no way to
    it: then the context asks, and a certificate that OpenSSL does not like ends the connection."""
    context.verify_mode = ssl.CERT_OPTIONAL
    set_verify = _set_verify()
    if set_verify is None:
        return False
    # A context object is a Python object's head, then its SSL_CTX.
    set_verify(ctypes.c_void_p.from_address(id(context) + object.__basicsize__), int(ssl.CERT_OPTIONAL), _any)
    return True


def _set_verify() -> Any:
    """OpenSSL's SSL_CTX_set_verify, of the library that `ssl` itself uses; None where it cannot be had safely."""
    free_threaded = "gil" in getattr(sys, "abiflags", "") or "t" in getattr(sys, "abiflags", "")
    if sys.implementation.name != "cpython" or sys.version_info[:2] > _LAST_KNOWN_PYTHON or free_threaded:
        return None
    try:
        # Symbols are looked for in the module and in what it is linked with: never in another copy of OpenSSL.
        set_verify = ctypes.CDLL(_ssl.__file__).SSL_CTX_set_verify
    except (AttributeError, OSError):
        return None
    set_verify.argtypes = [ctypes.c_void_p, ctypes.c_int, _Judge]
    set_verify.restype = None
    return set_verify
