from __future__ import annotations

import pytest

from quietwire.lab.audit.lua import LuaError, read

ROSTER = rb"""return {
	["anna@x.example"] = {
		["subscription"] = "both";
		["groups"] = { ["Fr\195\188nde"] = true; };
		["name"] = "An \"Anna\"\
two";
	};
	[false] = { ["version"] = 3; ["pending"] = {}; };
	"first"; 2.5; -0x10; nil;
};
"""


def test_a_table_with_keys_positions_and_escapes() -> None:
    (table,) = read(ROSTER)
    assert table["anna@x.example"] == {"subscription": "both", "groups": {"Fründe": True}, "name": 'An "Anna"\ntwo'}
    assert table[False] == {"version": 3, "pending": {}}
    assert (table[1], table[2], table[3], table[4]) == ("first", 2.5, -16, None)


def test_one_item_after_the_other() -> None:
    assert list(read(b'item({ "a"; });\nitem({ "b"; });\n')) == [{1: "a"}, {1: "b"}]


def test_what_is_whole_comes_before_the_fault() -> None:
    found = []
    with pytest.raises(LuaError):
        found.extend(read(b'item({ "a"; });\nitem({ "b"'))
    assert found == [{1: "a"}]


@pytest.mark.parametrize(
    "source", [b"print(1)", b"return 1;", b"return {", b"\x00\x01", b"return {" * 200, b"item({};"]
)
def test_what_is_no_table_is_refused(source: bytes) -> None:
    with pytest.raises(LuaError):
        list(read(source))
