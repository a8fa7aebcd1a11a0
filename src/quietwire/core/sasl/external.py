"""EXTERNAL (RFC 4422 appendix A, XEP-0178): the certificate speaks, the message only names an identity."""

from __future__ import annotations

from quietwire.core.sasl.failure import SaslFailure, utf8


def parse_external(message: bytes) -> str:
    """The authorization identity asked for, not prepared; '' means the one in the certificate.

    Raises `SaslFailure` ``malformed-request``.
    """
    authzid = utf8(message)
    if "\0" in authzid:
        raise SaslFailure("malformed-request")
    return authzid
