from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from quietwire.seal.manifest import BODY, DUMMY, ISOLATED, Manifest
from quietwire.seal.wraps import SealError

KEYS = st.integers(0, 40).map(lambda number: (number * 0x0101).to_bytes(16, "big"))
KINDS = st.sampled_from((DUMMY, 1, 2, 1 | BODY, ISOLATED, ISOLATED | BODY))
TAGS = st.binary(min_size=16, max_size=16)


class AsADictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.manifest = Manifest()
        self.rows: dict[bytes, tuple[int, bytes]] = {}

    @rule(kind=KINDS, key=KEYS, tag=TAGS)
    def put(self, kind: int, key: bytes, tag: bytes) -> None:
        self.manifest.put(kind, key, tag)
        self.rows[key] = kind, tag

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        self.manifest.remove(key)
        self.rows.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.manifest.get(key) == self.rows.get(key)

    @rule(kind=KINDS, most=st.integers(0, 5))
    def keys(self, kind: int, most: int) -> None:
        wanted = sorted(key for key, (its, _) in self.rows.items() if its == kind)
        assert self.manifest.keys(kind) == wanted
        assert self.manifest.keys(kind, most) == wanted[:most]
        assert self.manifest.of(kind) == [(key, self.rows[key][1]) for key in wanted]

    @rule()
    def write_and_read(self) -> None:
        self.manifest = Manifest.from_bytes(self.manifest.to_bytes())

    @invariant()
    def is_the_same(self) -> None:
        assert list(self.manifest) == [(kind, key, tag) for key, (kind, tag) in sorted(self.rows.items())]
        assert len(self.manifest) == len(self.rows)
        assert self.manifest.small == sum(not kind & BODY for kind, _ in self.rows.values())
        assert self.manifest.dummies == sum(kind == DUMMY for kind, _ in self.rows.values())


TestAsADictionary = AsADictionary.TestCase


def test_bytes() -> None:
    manifest = Manifest()
    manifest.put(2, b"b" * 16, b"t" * 16)
    manifest.put(1 | BODY, b"a" * 16, b"T" * 16)
    assert manifest.to_bytes() == b"\x01" + b"\x81" + b"a" * 16 + b"T" * 16 + b"\x02" + b"b" * 16 + b"t" * 16
    assert Manifest().to_bytes() == b"\x01"


def test_what_is_no_manifest() -> None:
    record = b"\x01" + b"k" * 16 + b"t" * 16
    other = b"\x01" + b"j" * 16 + b"t" * 16
    for bad in (b"", b"\x02" + record, b"\x01" + record[:-1], b"\x01" + record + record, b"\x01" + record + other):
        with pytest.raises(SealError):
            Manifest.from_bytes(bad)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_a_seal_error(data: bytes) -> None:
    try:
        assert Manifest.from_bytes(data).to_bytes() == data
    except SealError:
        pass


def test_keys_and_tags_of_another_length_are_a_bug() -> None:
    for key, tag in ((b"k", b"t" * 16), (b"k" * 16, b"t")):
        with pytest.raises(ValueError, match="16 bytes"):
            Manifest().put(1, key, tag)
