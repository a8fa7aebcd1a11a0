"""Which outbox a profile asks for, and its arithmetic."""

from __future__ import annotations

from quietwire.shaping.outbox import Outbox, SpacePadded
from quietwire.shaping.policy import Policy, Profile


def test_off_never_pads() -> None:
    for padded in (True, False):
        assert type(Policy().outbox(records_padded=padded)) is Outbox
    assert Policy().on_the_wire(513) == 513


def test_padded_writes_spaces_only_where_tls_cannot_pad() -> None:
    policy = Policy(Profile.PADDED, 512)
    assert type(policy.outbox(records_padded=True)) is Outbox
    outbox = policy.outbox(records_padded=False)
    assert isinstance(outbox, SpacePadded)
    assert outbox.block == 512


def test_sizes_on_the_wire_are_multiples_of_the_block() -> None:
    policy = Policy(Profile.PADDED, 512)
    assert [policy.on_the_wire(size) for size in (0, 1, 512, 513, 1400)] == [0, 512, 512, 1024, 1536]
