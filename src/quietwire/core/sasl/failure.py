"""What all mechanisms share: failures, the base64 around messages, the check of the authorization identity."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID, JIDError, parse_jid

CONDITIONS: Final = frozenset(
    {
        "aborted",
        "account-disabled",
        "credentials-expired",
        "encryption-required",
        "incorrect-encoding",
        "invalid-authzid",
        "invalid-mechanism",
        "malformed-request",
        "mechanism-too-weak",
        "not-authorized",
        "temporary-auth-failure",
    }
)
"""RFC 6120 §6.5."""

MAX_MESSAGE: Final = 8192
"""Bytes of one SASL message. An authorization identity of 3,071 bytes, a name of 1,023 (three times as much if every
byte is escaped) and a nonce fit; whoever is not logged in yet needs no more."""


class SaslFailure(QuietwireError):
    """The exchange failed. `condition` is the element inside ``<failure/>``, one of `CONDITIONS`.

    It never says whether the account exists: an unknown user and a wrong password are both ``not-authorized``.
    """

    def __init__(self, condition: str) -> None:
        if condition not in CONDITIONS:
            raise ValueError(f"no such SASL condition: {condition}")
        super().__init__(condition)
        self.condition = condition


def decode_payload(text: str | bytes) -> bytes:
    """The bytes inside ``<auth/>`` or ``<response/>``; '=' alone means zero bytes (RFC 6120 §6.4.2).

    Raises `SaslFailure` ``incorrect-encoding``, or ``malformed-request`` for more than `MAX_MESSAGE` bytes.
    """
    if text in ("=", b"="):
        return b""
    if len(text) > MAX_MESSAGE * 4 // 3 + 4:
        raise SaslFailure("malformed-request")
    try:
        return base64.b64decode(text.encode("ascii") if isinstance(text, str) else text, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise SaslFailure("incorrect-encoding") from None


def encode_payload(data: bytes) -> str:
    """The text for ``<challenge/>`` or ``<success/>``."""
    return base64.b64encode(data).decode() or "="


def check_authzid(authzid: str, account: JID) -> None:
    """An authorization identity must be empty or the account's own bare JID (RFC 6120 §6.3.8).

    Call it when the password has been proved, not before. Raises `SaslFailure` ``invalid-authzid``.
    """
    if not authzid:
        return
    try:
        same = parse_jid(authzid) == account.bare
    except JIDError:
        same = False
    if not same:
        raise SaslFailure("invalid-authzid")


def utf8(data: bytes) -> str:
    """Text of a SASL message. Raises `SaslFailure` ``malformed-request`` if it is too long or not UTF-8."""
    if len(data) > MAX_MESSAGE:
        raise SaslFailure("malformed-request")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SaslFailure("malformed-request") from None
