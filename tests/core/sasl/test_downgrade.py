"""What SCRAM signs about the offer."""

from __future__ import annotations

import base64
import hashlib

import pytest

from quietwire.core.sasl import announced, attributes, offered_hash

MECHANISMS = ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")
BINDINGS = ("tls-server-end-point", "tls-exporter")


def test_the_example_of_xep_0474() -> None:
    """§4.3."""
    assert offered_hash("SCRAM-SHA-1-PLUS", MECHANISMS, BINDINGS) == "G6k/rBLDqgOhRRaCuuatSDFkJ08="


def test_the_example_of_xep_0515() -> None:
    """§4.3."""
    told = attributes("SCRAM-SHA-1-PLUS", MECHANISMS, BINDINGS, "0304")
    assert told == ",h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304"
    assert attributes("SCRAM-SHA-1", MECHANISMS, BINDINGS, "") == ",h=G6k/rBLDqgOhRRaCuuatSDFkJ08="


def test_without_bindings_their_list_is_absent_and_the_hash_is_the_mechanisms() -> None:
    expected = base64.b64encode(hashlib.sha256(b"PLAIN\x1eSCRAM-SHA-256").digest()).decode()
    assert offered_hash("SCRAM-SHA-256", ("SCRAM-SHA-256", "PLAIN"), ()) == expected


@pytest.mark.parametrize("change", [(MECHANISMS[1:], BINDINGS), (MECHANISMS, BINDINGS[:1]), (MECHANISMS, ())])
def test_whatever_is_taken_away_shows(change: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    assert offered_hash("SCRAM-SHA-1", *change) != offered_hash("SCRAM-SHA-1", MECHANISMS, BINDINGS)


def test_what_nothing_defines_is_taken_but_not_announced() -> None:
    assert announced({"tls-exporter": b"", "tls-unique": b"", "tls-server-end-point": b""}) == (
        "tls-exporter",
        "tls-server-end-point",
    )
