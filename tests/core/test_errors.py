from __future__ import annotations

import pytest

from quietwire.core.errors import STANZA_ERROR_TYPES, ConfigError, QuietwireError, StanzaError, StreamError


def test_a_stanza_error_has_the_type_of_the_rfc() -> None:
    assert StanzaError("item-not-found").type == "cancel"
    assert StanzaError("item-not-found", type="wait").type == "wait"
    assert set(STANZA_ERROR_TYPES.values()) == {"modify", "cancel", "auth", "wait"}


def test_an_unknown_condition_is_a_bug() -> None:
    with pytest.raises(KeyError):
        StanzaError("nonsense")


def test_a_configuration_error_is_one_line() -> None:
    assert str(ConfigError("quietwire.toml", "listen.c2s", "0 to 65535")) == "quietwire.toml: listen.c2s: 0 to 65535"


def test_all_are_defined_failures() -> None:
    assert issubclass(StreamError, QuietwireError)
    error = StreamError("undefined-condition", "why", specific="<a xmlns='urn:a'/>")
    assert (error.condition, error.text, error.specific) == ("undefined-condition", "why", "<a xmlns='urn:a'/>")
