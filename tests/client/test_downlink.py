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
    assert ask(understood).attrib == ask(policy).attrib == told(policy).attrib
    answer = answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, told(understood)))
    assert answer == Downlink(profile, policy.tick if profile is Profile.STEADY else 0.0)


def test_what_is_not_understood_is_no_promise() -> None:
    odd = {"profile": "steady", "tick": "often"}
    for payload in ((), (build(f"{{{NS}}}link", {"profile": "invisible"}),), (look(),), (build(f"{{{NS}}}link", odd),)):
        assert answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, *payload)) == Downlink()
