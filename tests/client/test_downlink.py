"""What the server is asked for, and what its answer means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quietwire.client.downlink import NS, Downlink, answered, ask, look
from quietwire.core import ns
from quietwire.core.xml import build
from quietwire.server.modules.links import told, wanted
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import PRESETS


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("preset", PRESETS)
def test_our_server_understands_what_is_asked_for(profile: Profile, preset: str) -> None:
    policy = replace(PRESETS[preset], profile=profile, queue=Policy().queue)
    understood = wanted(ask(policy).attrib, Policy())
    steady = profile is Profile.STEADY
    assert ask(understood).attrib == ask(policy).attrib == told(policy, steady).attrib
    answer = answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, told(understood, steady)))
    assert answer == Downlink(profile, policy.tick if steady else 0.0, frames=steady)


@pytest.mark.parametrize("profile", Profile)
def test_frames_are_offered_under_steady_alone(profile: Profile) -> None:
    assert ask(Policy(profile)).get("frames") == ("1" if profile is Profile.STEADY else None)
    odd = build(f"{{{NS}}}link", {"profile": str(profile), "tick": "3", "frames": "1"})
    newer = build(f"{{{NS}}}link", {"profile": str(profile), "tick": "3", "frames": "2"})
    answers = [answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, link)).frames for link in (odd, newer)]
    assert answers == [profile is Profile.STEADY, False]


def test_what_is_not_understood_is_no_promise() -> None:
    odd = {"profile": "steady", "tick": "often"}
    for payload in ((), (build(f"{{{NS}}}link", {"profile": "invisible"}),), (look(),), (build(f"{{{NS}}}link", odd),)):
        assert answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, *payload)) == Downlink()
