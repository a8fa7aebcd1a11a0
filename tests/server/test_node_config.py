from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.xml import parse
from quietwire.server.node_config import MAX_GROUPS, MAX_ITEMS, MAX_TEXT, RULES, NodeConfig, read_form

OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"


def one(**values: str) -> dict[str, tuple[str, ...]]:
    return {name: (value,) for name, value in values.items()}


def test_the_defaults_of_personal_eventing() -> None:
    config = NodeConfig()
    assert (config.access_model, config.max_items, config.persist_items) == ("presence", 1, True)
    assert config.send_last_published_item == "on_sub_and_presence"
    assert config.notification_type == "headline"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("access_model", "open", "open"),
        ("access_model", "roster", "roster"),
        ("deliver_payloads", "false", False),
        ("persist_items", "0", False),
        ("persist_items", " true ", True),
        ("max_items", "max", MAX_ITEMS),
        ("max_items", "7", 7),
        ("max_items", "0", 1),
        ("max_items", "999999999", MAX_ITEMS),
        ("send_last_published_item", "never", "never"),
        ("notification_type", "normal", "normal"),
        ("title", "Café", "Café"),
    ],
)
def test_what_is_understood(name: str, text: str, value: object) -> None:
    config = NodeConfig().apply(one(**{name: text}))
    assert getattr(config, name) == value
    assert NodeConfig.from_dict(config.to_dict()) == config
    assert config.meets(one(**{name: text}))


@pytest.mark.parametrize(
    ("name", "text"),
    [("publish_model", "publishers"), ("item_expire", "max"), ("purge_offline", "false"), ("subscribe", "1")],
)
def test_what_has_one_supported_value_is_accepted_and_changes_nothing(name: str, text: str) -> None:
    assert NodeConfig().apply(one(**{name: text})) == NodeConfig()
    assert NodeConfig().meets(one(**{name: text}))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("publish_model", ("open",)),
        ("item_expire", ("60",)),
        ("persist_items", ("yes",)),
        ("persist_items", ()),
        ("persist_items", ("0", "1")),
        ("max_items", ("-1",)),
        ("max_items", ("²",)),
        ("max_items", ("9999999999",)),
        ("send_last_published_item", ("sometimes",)),
        ("title", ("x" * (MAX_TEXT + 1),)),
        ("roster_groups_allowed", tuple(map(str, range(MAX_GROUPS + 1)))),
        ("collection", ("c",)),
    ],
)
def test_what_is_not_supported_is_refused_and_never_met(name: str, texts: tuple[str, ...]) -> None:
    with pytest.raises(StanzaError) as refused:
        NodeConfig().apply({name: texts})
    assert refused.value.condition == "not-acceptable"
    assert not NodeConfig().meets({name: texts})


def test_an_access_model_that_is_not_there_has_its_own_error() -> None:
    with pytest.raises(StanzaError) as refused:
        NodeConfig().apply(one(access_model="authorize"))
    assert refused.value.specific == "{http://jabber.org/protocol/pubsub#errors}unsupported-access-model"


def test_a_precondition_of_another_value_is_not_met() -> None:
    assert not NodeConfig().meets(one(access_model="open"))
    assert not NodeConfig().meets(one(max_items="max"))
    assert NodeConfig().meets({})


def test_groups_are_a_set() -> None:
    config = NodeConfig().apply({"roster_groups_allowed": ("b", "a", "b")})
    assert config.roster_groups_allowed == ("a", "b")
    assert config.meets({"roster_groups_allowed": ("a", "b")})
    assert NodeConfig.from_dict(config.to_dict()) == config


def test_the_form_shows_every_field_and_can_be_sent_back() -> None:
    config = NodeConfig(access_model="whitelist", max_items=MAX_ITEMS, roster_groups_allowed=("a", "b"), title="T")
    form = config.form("submit")
    wrapper = parse(b"<configure/>", "x")
    wrapper.append(form)
    values = read_form(wrapper, "http://jabber.org/protocol/pubsub#node_config")
    assert values is not None
    assert set(values) == set(RULES)
    assert values["max_items"] == ("max",)
    assert NodeConfig().apply(values) == config


def form(inner: str, type: str = "submit", kind: str = OPTIONS) -> str:
    hidden = f"<field var='FORM_TYPE'><value>{kind}</value></field>" if kind else ""
    return f"<x xmlns='jabber:x:data' type='{type}'>{hidden}{inner}</x>"


def test_reading_forms() -> None:
    def read(inner: str) -> dict[str, tuple[str, ...]] | None:
        return read_form(parse(f"<o>{inner}</o>".encode(), "x"), OPTIONS)

    field = "<field var='pubsub#access_model'><value>open</value></field>"
    assert read(form(field)) == {"access_model": ("open",)}
    assert read("") == {}
    assert read(form("", type="cancel")) is None
    for bad in (form(field + field), form(field, kind=""), form(field, kind="other"), form(field, type="result")):
        with pytest.raises(StanzaError) as refused:
            read(bad)
        assert refused.value.condition == "bad-request"
