from __future__ import annotations

import json

import pytest

from quietwire.core.errors import StanzaError
from quietwire.server import forms
from quietwire.server.rooms.config import MAX_NAME, RULES, RoomConfig

C = "muc#roomconfig_"


def values(config: RoomConfig) -> dict[str, tuple[str, ...]]:
    """The form as an owner gets it, sent back as it is."""
    x = config.form("title", ("alice@a.example",), ())
    return forms.read(x, "http://jabber.org/protocol/muc#roomconfig")


def test_the_defaults_tell_little() -> None:
    config = RoomConfig()
    assert config.members_only
    assert not config.public
    assert "visitor" not in config.presence
    assert not config.anonymous  # encryption needs real addresses, and only members see them


def test_a_form_that_comes_back_unchanged_changes_nothing() -> None:
    for config in (
        RoomConfig(),
        RoomConfig(name="Den", description="two\nlines", password="x", max_users=7),
    ):
        assert config.apply(values(config)) == config


def test_every_setting_is_in_the_form() -> None:
    shown = values(RoomConfig(password="x"))
    assert {rule.var for rule in RULES} <= shown.keys()
    assert shown[f"{C}roomowners"] == ("alice@a.example",)
    assert shown[f"{C}roomadmins"] == ()
    assert shown[f"{C}passwordprotectedroom"] == ("1",)


@pytest.mark.parametrize(
    ("var", "given", "attribute", "expected"),
    [
        (f"{C}roomname", ("Den",), "name", "Den"),
        (f"{C}roomname", (), "name", ""),
        (f"{C}publicroom", ("true",), "public", True),
        (f"{C}membersonly", ("0",), "members_only", False),
        (f"{C}whois", ("moderators",), "whois", "moderators"),
        (f"{C}presencebroadcast", ("visitor", "moderator"), "presence", ("moderator", "visitor")),
        (f"{C}presencebroadcast", (), "presence", ()),
        (f"{C}getmemberlist", ("moderator",), "member_list", ("moderator",)),
        (f"{C}allowpm", ("participants",), "allow_pm", "participants"),
        (f"{C}maxusers", ("12",), "max_users", 12),
        (f"{C}maxusers", ("none",), "max_users", 0),
        ("muc#maxhistoryfetch", ("5",), "history", 5),
        ("muc#maxhistoryfetch", ("5000",), "history", 100),
        (f"{C}historylength", ("7",), "history", 7),
        (f"{C}slow_mode_duration", ("30",), "slow", 30),
        ("mam", ("0",), "archive", False),
        ("{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites", ("1",), "allow_invites", True),
    ],
)
def test_fields(var: str, given: tuple[str, ...], attribute: str, expected: object) -> None:
    assert getattr(RoomConfig().apply({var: given}), attribute) == expected


@pytest.mark.parametrize(
    ("var", "given"),
    [
        (f"{C}roomname", ("x" * (MAX_NAME + 1),)),
        (f"{C}publicroom", ("yes",)),
        (f"{C}publicroom", ()),
        (f"{C}whois", ("nobody",)),
        (f"{C}presencebroadcast", ("king",)),
        (f"{C}maxusers", ("-1",)),
        (f"{C}maxusers", ("9999999999",)),
        ("muc#maxhistoryfetch", ("all",)),
        (f"{C}passwordprotectedroom", ("1",)),
        (f"{C}passwordprotectedroom", ("maybe",)),
    ],
)
def test_what_is_not_supported_is_refused(var: str, given: tuple[str, ...]) -> None:
    with pytest.raises(StanzaError, match="not-acceptable"):
        RoomConfig().apply({var: given})


def test_unknown_fields_are_others_business() -> None:
    assert RoomConfig().apply({"muc#roomconfig_pubsub": ("x",)}) == RoomConfig()


def test_a_password_comes_and_goes() -> None:
    config = RoomConfig().apply({f"{C}roomsecret": ("cauldron",)})
    assert config.password == "cauldron"
    assert config.apply({f"{C}roomsecret": ()}).password == ""
    assert config.apply({f"{C}passwordprotectedroom": ("0",), f"{C}roomsecret": ("cauldron",)}).password == ""
    assert config.apply({f"{C}passwordprotectedroom": ("1",)}).password == "cauldron"


@pytest.mark.parametrize(
    ("before", "after", "codes"),
    [
        (RoomConfig(), RoomConfig(), ()),
        (RoomConfig(), RoomConfig(whois="moderators"), (173,)),
        (RoomConfig(whois="moderators"), RoomConfig(), (172,)),
        (RoomConfig(), RoomConfig(logging=True), (170,)),
        (RoomConfig(logging=True), RoomConfig(whois="moderators"), (171, 173)),
    ],
)
def test_what_occupants_must_be_warned_of(before: RoomConfig, after: RoomConfig, codes: tuple[int, ...]) -> None:
    assert after.privacy_changes(before) == codes


def test_it_survives_the_store() -> None:
    config = RoomConfig(name="Den", presence=("moderator",), max_users=3)
    assert RoomConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert RoomConfig.from_dict({"name": "x", "no longer known": 1}).name == "x"
