"""What the server is asked for, and what its answer means."""

from __future__ import annotations

import pytest

from quietwire.client.downlink import NS, answered, ask
from quietwire.core import ns
from quietwire.core.xml import build
from quietwire.shaping.policy import Policy, Profile


@pytest.mark.parametrize("profile", Profile)
def test_what_is_asked_for_can_be_answered(profile: Profile) -> None:
    asked = ask(Policy(profile))
    assert answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, asked)) is profile


def test_what_is_not_understood_is_no_promise() -> None:
    for payload in ((), (build(f"{{{NS}}}link", {"profile": "invisible"}),), (build(f"{{{NS}}}link"),)):
        assert answered(build(f"{{{ns.CLIENT}}}iq", {"type": "result"}, *payload)) is Profile.OFF
