from __future__ import annotations

from pathlib import Path

from quietwire.server.inventory import markdown, settings
from quietwire.server.module import Keeps, Module, Reload, Setting, Xep
from quietwire.server.modules import discover

PING = Module("ping", Xep(199, "2.0.1"), ("urn:xmpp:ping",), (), (), "one reply")
ROSTER = Module("roster", None, (), (), (Keeps("a | b", "roster", True, "removed"),), "pushes")
DISCO = Module("disco", Xep(30, "2.5.0"), (), (), (), "answers")


def test_a_line_for_each_feature_by_number_and_for_all_that_is_kept() -> None:
    lines = markdown((ROSTER, PING, DISCO)).splitlines()
    features = [line for line in lines if line.startswith(("| ping", "| roster", "| disco"))]
    assert features == [
        "| disco | [XEP-0030](https://xmpp.org/extensions/xep-0030.html) | 2.5.0 | answers |",
        "| ping | [XEP-0199](https://xmpp.org/extensions/xep-0199.html) | 2.0.1 | one reply |",
        "| roster | RFC 6121 |  | pushes |",
        "| roster | a \\| b | roster | yes | removed |",
    ]


def test_what_streams_do_by_themselves_is_listed_too() -> None:
    lines = markdown(()).splitlines()
    assert any(line.startswith("| [XEP-0388](https://xmpp.org/extensions/xep-0388.html) | 1.0.4 | ") for line in lines)


def test_what_rooms_do_besides_is_listed_too() -> None:
    lines = markdown(()).splitlines()
    assert any(line.startswith("| [XEP-0421](https://xmpp.org/extensions/xep-0421.html) | 1.0.1 | ") for line in lines)


def test_the_file_in_docs_is_up_to_date() -> None:
    docs = Path(__file__).parents[2] / "docs" / "xeps.md"
    assert docs.read_text("utf-8") == markdown(discover()), "run make docs"


def test_settings_of_modules_in_the_order_of_their_names() -> None:
    archive = Module(
        "archive", None, (), (Setting("days", 30, "how long"), Setting("who", "all", "For whom.")), (), "x"
    )
    offline = Module("offline", None, (), (Setting("stanzas", 9, "at most"), Reload(lambda *_: None)), (), "x")
    assert settings((offline, archive)).splitlines()[-3:] == [
        "| `archive.days` | `30` | How long. |",
        '| `archive.who` | `"all"` | For whom. |',
        "| `offline.stanzas` | `9` | At most. * |",
    ]
