from __future__ import annotations

from dataclasses import replace
from typing import Any

from quietwire.core.xml import Element
from quietwire.server.module import Keeps, Module
from quietwire.server.modules import discover
from quietwire.server.modules.xep0504_data_policy import make

NOTES = Keeps("notes", "private", True, "removed")
SEALED = Module("notes", None, (), (), (NOTES,), "")
OPEN = replace(SEALED, keeps=(replace(NOTES, sealed=False),))


def fields(x: Element) -> dict[str, list[str]]:
    return {f.get("var", ""): [v.text or "" for v in f] for f in x.iter("{jabber:x:data}field")}


def policy(*modules: Module, **settings: Any) -> dict[str, list[str]]:
    return fields(make(modules, settings))


def test_what_is_kept_is_said_line_by_line() -> None:
    said = policy(*discover())["extra_info"]
    kept = [(module.name, keeps.what) for module in discover() for keeps in module.keeps]
    assert len(said) == len(kept)
    for (name, what), line in zip(kept, said, strict=True):
        assert line.startswith(f"{name}: {what}. Until: ")


def test_what_is_sealed_is_said_to_be_only_if_everything_is() -> None:
    assert policy(SEALED)["encryption_at_rest"] == ["true"]
    assert policy(SEALED)["access_policy"] == ["none"]
    assert policy(SEALED)["extra_info"] == ["notes: notes. Until: removed; unreadable while its owner is away."]
    assert policy(SEALED, OPEN)["encryption_at_rest"] == ["false"]
    assert policy(OPEN)["access_policy"] == ["admins"]
    assert policy()["encryption_at_rest"] == ["false"]


def test_a_server_that_keeps_nothing_says_so() -> None:
    assert policy()["data_retention"] == ["0"]
    assert policy(OPEN)["data_retention"] == ["infinite"]


def test_the_operator_says_the_rest() -> None:
    assert "tos" not in policy(OPEN)
    said = policy(OPEN, access="government nonsense", tos="https://a.example/terms", backup_frequency="24")
    assert said["access_policy"] == ["admins", "government"]
    assert (said["tos"], said["backup_frequency"]) == (["https://a.example/terms"], ["24"])
    assert said["FORM_TYPE"] == ["urn:xmpp:data-policy:0"]
