from __future__ import annotations

import re
from pathlib import Path

import pytest

from quietwire.core.errors import ConfigError
from quietwire.server.modules import links
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import PHONE
from quietwire.testing.assembly import Assembly, Client
from quietwire.testing.links import FakeLink

NS = links.NS


class World:
    def __init__(self, profile: Profile = Profile.OFF, **settings: object) -> None:
        self.link: FakeLink | None = FakeLink()
        self.link.policy = Policy(profile)
        self.house = Assembly((links.MODULE,), settings={"links": settings}, extra={"links": lambda _: self.link})
        self.house.add("alice@a.example")
        self.house.add("bob@a.example")
        self.alice: Client = self.house.log_in("alice@a.example/phone")

    def says(self, attributes: str, kind: str = "set", to: str = "") -> str:
        self.alice.write(f"<iq type='{kind}' id='1'{to}><link xmlns='{NS}' {attributes}/></iq>")
        (answer,) = self.alice.take()
        return answer

    @property
    def policy(self) -> Policy:
        assert self.link is not None
        return self.link.policy


def test_what_is_in_force() -> None:
    world = World(Profile.STEADY)
    assert "cell='816' tick='2.2' fast-tick='0.2' window='30' bulk-every='21600'" in world.says("", "get")
    assert "<link xmlns='urn:quietwire:links:0' profile='off'/>" in World().says("", "get")


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_is_enough(profile: Profile) -> None:
    world = World()
    assert f"profile='{profile}'" in world.says(f"profile='{profile}'")
    assert world.policy == Policy(profile)


def test_presets_and_parameters() -> None:
    world = World()
    assert "tick='10' fast-tick='0.5'" in world.says("profile='steady' preset='phone' tick='10'")
    assert (world.policy.cell, world.policy.tick, world.policy.queue) == (PHONE.cell, 10.0, Policy().queue)
    assert "delay='0.2' batch='0.5'" in world.says("profile='jitter' delay='0.2' batch='0.5'")


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ("", "bad-request"),
        ("profile='invisible'", "bad-request"),
        ("profile='steady' preset='tablet'", "bad-request"),
        ("profile='steady' tick='soon'", "bad-request"),
        ("profile='steady' tick='3.1'", "bad-request"),
        ("profile='steady' tick='nan'", "not-acceptable"),
        ("profile='steady' tick='0.05'", "not-acceptable"),
        ("profile='steady' cell='1000000'", "not-acceptable"),
        ("profile='steady' cell='16382' tick='0.4'", "not-acceptable"),
        ("profile='jitter'", "not-allowed"),
    ],
)
def test_what_cannot_be_had(attributes: str, condition: str) -> None:
    world = World(profiles="off padded steady")
    assert condition in world.says(attributes)
    assert world.policy == Policy()


def test_a_link_that_cannot_be_shaped() -> None:
    world = World()
    assert world.link is not None
    world.link.shape = lambda policy: False  # type: ignore[method-assign]
    assert "feature-not-implemented" in world.says("profile='steady'")
    assert "profile='off'" in world.says("profile='off'")  # as it is
    world.link = None
    assert "service-unavailable" in world.says("profile='off'")


def test_ones_own_link_only() -> None:
    world = World()
    assert "service-unavailable" in world.says("profile='steady'", to=" to='bob@a.example'")
    assert world.policy == Policy()


def test_settings() -> None:
    with pytest.raises(ConfigError):
        links.make_state({"profiles": "off steadier"})
    world = World()
    world.house.router.reload({"links": {"profiles": "off", "megabytes": 10.0}})
    assert "not-allowed" in world.says("profile='steady'")


def test_frames_for_whoever_reads_them_and_is_steady() -> None:
    world = World()
    assert world.link is not None
    assert "frames" not in world.says("profile='steady'")
    assert "frames" not in world.says("profile='steady' frames='2'")
    assert not world.link.packs
    for said in ("profile='steady' frames='1'", "profile='steady' tick='6'"):
        assert "frames='1'" in world.says(said)
    assert "frames='1'" in world.says("", "get")
    assert world.link.packs
    for other in ("padded", "jitter", "off"):
        assert "frames" not in world.says(f"profile='{other}' frames='1'")
        assert not world.link.packs
    assert "frames" not in world.says("profile='steady'")


def test_the_example_of_the_document_is_what_is_answered() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocols" / "links.md").read_text("utf-8")
    asked, answered = re.findall(rf"<link xmlns='{NS}' (profile='steady' [^/]*)/>", page)
    assert f"<link xmlns='{NS}' {answered}/>" in World().says(asked)


def test_no_frames_where_the_connection_has_none() -> None:
    world = World(Profile.STEADY)
    assert world.link is not None
    world.link.pack = lambda: False  # type: ignore[method-assign]
    assert "frames" not in world.says("profile='steady' frames='1'")
