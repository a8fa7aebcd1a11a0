from __future__ import annotations

from quietwire.server.modules import xep0049_private, xep0163_pep
from quietwire.server.modules.xep0402_bookmarks import MODULE
from quietwire.testing.assembly import Assembly

PUBSUB = "http://jabber.org/protocol/pubsub"


class World:
    def __init__(self) -> None:
        self.house = Assembly((MODULE, xep0163_pep.MODULE, xep0049_private.MODULE))
        self.house.add("alice@a.example")
        self.alice = self.house.log_in("alice@a.example/x")

    def pubsub(self, kind: str, inner: str) -> str:
        self.alice.write(f"<iq type='{kind}' id='1'><pubsub xmlns='{PUBSUB}'>{inner}</pubsub></iq>")
        return self.alice.take()[-1]

    def add(self, room: str) -> None:
        payload = f"<conference xmlns='urn:xmpp:bookmarks:1' name='{room}'/>"
        self.pubsub("set", f"<publish node='urn:xmpp:bookmarks:1'><item id='{room}'>{payload}</item></publish>")

    def set_list(self, *rooms: str) -> None:
        entries = "".join(f"<conference jid='{room}' name='{room}'/>" for room in rooms)
        storage = f"<storage xmlns='storage:bookmarks'>{entries}</storage>"
        self.pubsub("set", f"<publish node='storage:bookmarks'><item id='current'>{storage}</item></publish>")

    def items(self) -> str:
        return self.pubsub("get", "<items node='urn:xmpp:bookmarks:1'/>")

    def list(self) -> str:
        return self.pubsub("get", "<items node='storage:bookmarks'/>")


def test_a_new_bookmark_is_in_the_older_list() -> None:
    world = World()
    world.add("1@r.example")
    world.add("2@r.example")
    assert "<conference jid='1@r.example' name='1@r.example'/><conference jid='2@r.example'" in world.list()
    world.pubsub("set", "<retract node='urn:xmpp:bookmarks:1'><item id='1@r.example'/></retract>")
    assert "1@r.example" not in world.list()


def test_the_older_list_makes_bookmarks() -> None:
    world = World()
    world.add("1@r.example")
    world.set_list("1@r.example", "2@r.example")
    assert (
        "<item id='2@r.example'><conference xmlns='urn:xmpp:bookmarks:1' name='2@r.example'/></item>" in world.items()
    )
    world.set_list("2@r.example")
    assert "1@r.example" not in world.items()


def test_a_list_that_is_deleted_takes_no_bookmark_with_it() -> None:
    world = World()
    world.add("1@r.example")
    world.alice.write(
        f"<iq type='set' id='1'><pubsub xmlns='{PUBSUB}#owner'><delete node='storage:bookmarks'/></pubsub></iq>"
    )
    assert "type='result'" in world.alice.take()[-1]
    assert "1@r.example" in world.items()


def test_private_storage_shows_the_same() -> None:
    world = World()
    world.add("1@r.example")
    ask = "<iq type='get' id='1'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>"
    world.alice.write(ask)
    assert "<conference jid='1@r.example' name='1@r.example'/>" in world.alice.take()[-1]
    world.alice.write(
        "<iq type='set' id='1'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>"
        "<conference jid='2@r.example'/></storage></query></iq>"
    )
    assert "type='result'" in world.alice.take()[-1]
    assert "2@r.example" in world.items()
    assert "1@r.example" not in world.items()
    assert "2@r.example" in world.list()
    assert world.house.storage.store.scan("private", b"alice@a.example").result() == []
