from __future__ import annotations

from pathlib import Path
from typing import Any

from erlang_terms import term

from quietwire.lab.audit import ejabberd
from quietwire.lab.audit.ejabberd import Reader
from quietwire.lab.audit.erlang import ACTIVE, Atom
from quietwire.lab.audit.facts import Facts, pairs

ANNA, BEN = (b"anna", b"x.example"), (b"ben", b"x.example", b"")
EVE, OUTCAST, NOW = (b"eve", b"y.example", b""), (Atom("outcast"), b"rude"), (1795, 1, 1)


def xmlel(name: bytes, attributes: list[tuple[bytes, bytes]], *children: Any) -> tuple[Any, ...]:
    return (Atom("xmlel"), name, attributes, list(children))


def text(value: bytes) -> tuple[Any, ...]:
    return (Atom("xmlcdata"), value)


ROSTER = (
    Atom("roster"), (*ANNA, BEN), ANNA, BEN, b"Benny", Atom("both"), Atom("none"), [b"Friends"], b"", [],
)  # fmt: skip
MESSAGE = xmlel(
    b"message", [(b"from", b"ben@x.example/r"), (b"to", b"anna@x.example")], xmlel(b"body", [], text(b"Hello"))
)
RECORDS: list[tuple[Any, ...]] = [
    (Atom("passwd"), ANNA, (Atom("scram"), b"stored", b"server", b"salt", Atom("sha"), 4096)),
    ROSTER,
    (Atom("archive_msg"), ANNA, b"1", (1795, 260079, 38567), (*BEN[:2], b"r"), BEN, MESSAGE, b"", Atom("chat")),
    (Atom("vcard"), ANNA, xmlel(b"vCard", [], xmlel(b"FN", [], text(b"Anna A")), xmlel(b"BINVAL", [], text(b"aGk=")))),
    (Atom("private_storage"), (*ANNA, b"storage:bookmarks"), xmlel(b"conference", [(b"jid", b"r@m.example")])),
    (Atom("privacy"), ANNA, b"x", [(b"x", [(Atom("listitem"), Atom("jid"), EVE, Atom("deny"))])]),
    (Atom("archive_prefs"), ANNA, Atom("always"), [(b"ann", b"y.example", b"")], [EVE]),
    (Atom("last_activity"), ANNA, 1_795_260_079, b"Bye"),
    (Atom("caps_features"), (b"https://c.example", b"hash"), [b"urn:f"]),
    (Atom("push_session"), ANNA, (1795, 1, 1), (b"", b"push.example", b""), b"node", xmlel(b"x", [])),
    (Atom("pubsub_item"), (b"current", 1), 1, (NOW, ANNA), (NOW, ANNA), [xmlel(b"list", [(b"id", b"7")])]),
    (Atom("pubsub_node"), (BEN, b"urn:xmpp:omemo:2:devices"), 1, [], b"pep", [ANNA], []),
    (Atom("muc_room"), (b"den", b"m.example"), [(Atom("title"), b"Den"), (Atom("affiliations"), [(EVE, OUTCAST)])]),
    (Atom("muc_registered"), ((b"ben", b"x.example"), b"m.example"), b"Benny"),
]  # fmt: skip


def read(*records: tuple[Any, ...]) -> Facts:
    facts = Facts()
    reader = Reader(facts)
    for record in records:
        reader.record(record, "here")
    return facts


def test_every_record_is_read() -> None:
    facts = read(*RECORDS)
    assert not facts.of("strings")
    assert [fact.what for fact in facts.of("accounts")] == ["anna@x.example"]
    assert facts.of("passwords")[0].what == "SCRAM verifier"
    assert pairs(facts.of("contacts")) == {frozenset(("anna@x.example", "ben@x.example"))}
    assert facts.of("groups")[0].what == "Friends"
    message = facts.of("messages")[0]
    assert (message.who, message.what, message.more) == ("ben@x.example", "anna@x.example", "1795260079 Hello")
    assert "Anna A" in facts.of("profiles")[0].what
    assert len(facts.of("avatars")) == 1
    assert facts.of("bookmarks")[0].who == "anna@x.example"
    assert facts.of("blocks")[0].what == "eve@y.example"
    assert {fact.more for fact in facts.of("preferences")} == {"always", "never"}
    assert facts.of("push")[0].what == "push.example"
    assert "urn:xmpp:omemo:2:devices" in {fact.what for fact in facts.of("devices")}
    assert facts.of("members")[0].more == "outcast rude"
    assert facts.of("members")[1].more == "nick Benny"
    assert any("last logout Bye" in fact.more for fact in facts.of("times"))


def test_a_record_of_another_shape_is_kept_as_text() -> None:
    facts = read((Atom("roster"), 1, 2, 3, b"Benny", 5, 6, 7, 8, 9))
    assert "Benny" in facts.of("strings")[0].what


def dets(live: bytes, freed: bytes) -> bytes:
    """Two chains of objects as a file of dets has them, one of them freed."""
    return b"".join(
        len(piece).to_bytes(4, "big") + mark + piece + bytes(8)
        for mark, piece in ((ACTIVE, bytes(8) + live), (b"\x3a\xbc\xde\xf0", bytes(8) + freed))
    )


def test_tables_logs_deleted_objects_and_uploads(tmp_path: Path) -> None:
    mnesia = tmp_path / "mnesia"
    mnesia.mkdir()
    (mnesia / "schema.DAT").write_bytes(b"")
    gone = (Atom("roster"), (*ANNA, BEN), ANNA, (b"gone", b"x.example", b""), *ROSTER[4:])
    (mnesia / "roster.DAT").write_bytes(dets(term(ROSTER), term(gone)))
    (mnesia / "LATEST.LOG").write_bytes(b"log" + term((Atom("commit"), [RECORDS[0]])))
    upload = tmp_path / "uploads" / "owner" / "slot" / "cat.png"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"cat")
    facts = Facts()
    assert ejabberd.is_ours(tmp_path)
    ejabberd.observe(tmp_path, facts)
    assert {fact.what for fact in facts.of("contacts")} == {"ben@x.example", "gone@x.example"}
    assert len(facts.of("deleted")) == 1
    assert "gone" in facts.of("deleted")[0].what
    assert len(facts.of("accounts")) == 1
    assert facts.of("uploads")[0].what == "cat.png"
