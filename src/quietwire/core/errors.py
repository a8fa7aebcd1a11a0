"""The three kinds of defined failure. Anything else that is raised is a bug and closes its stream."""

from __future__ import annotations

STANZA_ERROR_TYPES = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "payment-required": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}
"""Condition -> the error type that RFC 6120 §8.3.3 recommends for it."""


class QuietwireError(Exception):
    """Base of everything that has a defined answer."""


class StreamError(QuietwireError):
    """A stream error (RFC 6120 §4.9.3): it is sent, then the stream is closed.

    `condition` is the element's name, for instance ``not-well-formed``; `text` never holds personal data. `specific`
    is the application's own element (RFC 6120 §4.9.4) as it goes on the wire, or ''.
    """

    def __init__(self, condition: str, text: str = "", *, specific: str = "") -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.specific = specific


class StanzaError(QuietwireError):
    """A stanza error (RFC 6120 §8.3): the answer to one stanza.

    `specific` is an application condition in Clark notation, for instance
    ``{http://jabber.org/protocol/pubsub#errors}precondition-not-met``.
    """

    def __init__(self, condition: str, text: str = "", *, type: str | None = None, specific: str | None = None) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.type = type or STANZA_ERROR_TYPES[condition]
        self.text = text
        self.specific = specific


class ConfigError(QuietwireError):
    """A mistake in the configuration or on the command line: one line with file, key and what is allowed."""

    def __init__(self, where: str, key: str, allowed: str) -> None:
        super().__init__(where, key, allowed)
        self.where = where
        self.key = key
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.allowed}"
