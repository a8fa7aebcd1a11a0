"""Our certificate and its key: do they belong together, whom do they stand for, how long are they good for."""

from __future__ import annotations

import contextlib
import datetime
import ssl
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Config
from quietwire.net.resolver import NotFound, ascii_name
from quietwire.net.tls import SOON_DAYS, certificate_domains
from quietwire.server.s2s import stands_for

RSA_BITS = 2048
RENEW = "renew it, then `quietwire reload`"

_ok = partial(Finding, Severity.OK, "certificate")
_note = partial(Finding, Severity.NOTE, "certificate")
_warning = partial(Finding, Severity.WARNING, "certificate")
_error = partial(Finding, Severity.ERROR, "certificate")


def certificates(config: Config, hosted: Sequence[str], now: float) -> list[Finding]:
    """`hosted`: domains below ours that the server answers for. `now`: seconds since the epoch."""
    tls = config.tls
    try:
        chain = x509.load_pem_x509_certificates(tls.certificate.read_bytes())
    except OSError as error:
        return [_error("tls.certificate", f"cannot be read: {error.strerror}", "a PEM file that the server may read")]
    except ValueError:
        return [_error("tls.certificate", "is no PEM certificate", "a PEM file, our own certificate first")]
    own = chain[0]
    return [
        *(one for domain in tls.domains for one in _apart(config, domain, now)),
        *_key(own, tls.key),
        *_times(own, now),
        *_names(own, config, hosted),
        *_chain(chain, config.domain, now),
        *_usage(own, config),
    ]


def _apart(config: Config, domain: str, now: float) -> Iterator[Finding]:
    """The certificate of one domain below ours that has its own."""
    files, subject = config.tls.domains[domain], f'tls.domains."{domain}"'
    try:
        own = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
    except (OSError, ValueError):
        yield _error(subject, "cannot be read as a PEM certificate", "a PEM file that the server may read")
        return
    if not stands_for(certificate_domains(own.public_bytes(Encoding.DER)), domain):
        yield _error(subject, f"does not stand for {domain}", "one that names it")
    yield from (replace(one, subject=subject) for one in (*_key(own, files.key), *_times(own, now)))


def _key(own: x509.Certificate, path: Path) -> Iterator[Finding]:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        yield _error("tls.key", f"cannot be read: {error.strerror}", "a PEM file that the server may read")
        return
    except (TypeError, ValueError, UnsupportedAlgorithm):
        yield _error("tls.key", "is no PEM key without a passphrase", "openssl pkey -in KEY -out PLAIN_KEY")
        return
    shape = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    public = own.public_key()
    if key.public_key().public_bytes(*shape) != public.public_bytes(*shape):
        yield _error("tls.key", "is not the key of tls.certificate", "the key that the certificate was asked for with")
    if mode & 0o077:
        yield _warning("tls.key", f"others on this machine may read it (mode {mode:04o})", f"chmod 600 {path}")
    if isinstance(public, rsa.RSAPublicKey | dsa.DSAPublicKey) and public.key_size < RSA_BITS:
        yield _error("tls.key", f"{public.key_size} bits are too few for clients of today", "a P-256 or RSA 2048 key")


def _times(own: x509.Certificate, now: float) -> Iterator[Finding]:
    end = own.not_valid_after_utc.timestamp()
    until = own.not_valid_after_utc.strftime("%Y-%m-%d")
    days = (end - now) / 86_400
    if own.not_valid_before_utc.timestamp() > now:
        since = own.not_valid_before_utc.strftime("%Y-%m-%d")
        yield _error("tls.certificate", f"is not valid before {since}", "look at this machine's clock")
    elif days <= 0:
        yield _error("tls.certificate", f"has expired on {until}: clients refuse it", RENEW)
    elif days <= SOON_DAYS:
        yield _warning("tls.certificate", f"expires in {int(days)} days, on {until}", RENEW)
    else:
        yield _ok("tls.certificate", f"good until {until}, {int(days)} days")


def _names(own: x509.Certificate, config: Config, hosted: Sequence[str]) -> Iterator[Finding]:
    names = certificate_domains(own.public_bytes(Encoding.DER))
    if stands_for(names, config.domain):
        yield _ok("tls.certificate", f"stands for {config.domain}")
    else:
        yield _error(
            "tls.certificate",
            f"does not stand for {config.domain}: it names {', '.join(sorted(names)) or 'nothing'}",
            "one for the domain of the addresses, not for the host's name",
        )
    missing = [domain for domain in hosted if domain not in config.tls.domains and not stands_for(names, domain)]
    if missing and config.federation.enabled:
        yield _warning(
            "tls.certificate",
            f"does not stand for {', '.join(missing)}: other servers' users cannot use them",
            "one that names them too",
        )


def _chain(chain: Sequence[x509.Certificate], domain: str, now: float) -> Iterator[Finding]:
    for signed, signer in pairwise(chain):
        try:
            signed.verify_directly_issued_by(signer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            yield _error(
                "tls.certificate",
                "the file's certificates are not a chain: one is not signed by the next",
                "our own first, then its issuer, and so on",
            )
            return
    if not _untrusted(chain, domain, _authorities(), now):
        yield _ok("tls.certificate", "this system's authorities trust it")
    elif chain[0].issuer == chain[0].subject:
        yield _warning(
            "tls.certificate", "signs itself: clients ask their users what they think of it", "one of an authority"
        )
    else:
        yield _warning(
            "tls.certificate",
            "this system's authorities do not trust it: an intermediate certificate is missing, or its authority is "
            "your own",
            "the full chain as the authority gives it (often called fullchain.pem)",
        )


def _authorities() -> list[x509.Certificate]:
    """This system's."""
    found = []
    with warnings.catch_warnings():  # some have been there for longer than the rules for their numbers
        warnings.simplefilter("ignore")
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with contextlib.suppress(ValueError):
                found.append(x509.load_der_x509_certificate(der))
    return found


def _untrusted(chain: Sequence[x509.Certificate], domain: str, roots: Sequence[x509.Certificate], now: float) -> bool:
    """Whether a client with those authorities would refuse the chain. Times are judged apart: a certificate that has
    expired is looked at as of its last day."""
    if not roots:
        return True
    end = chain[0].not_valid_after_utc
    when = min(datetime.datetime.fromtimestamp(now, datetime.UTC), end - datetime.timedelta(hours=1))
    try:
        name = x509.DNSName(ascii_name(domain))
        verifier = PolicyBuilder().store(Store(list(roots))).time(when.replace(tzinfo=None)).build_server_verifier(name)
        verifier.verify(chain[0], list(chain[1:]))
    except (VerificationError, NotFound, ValueError):
        return True
    return False


def _usage(own: x509.Certificate, config: Config) -> Iterator[Finding]:
    if not config.federation.enabled:
        return
    try:
        usages = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        yield _note(
            "tls.certificate",
            "is for servers only (no clientAuth): other servers know this one by dialback instead of its certificate",
        )
