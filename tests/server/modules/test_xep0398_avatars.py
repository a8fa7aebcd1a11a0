from __future__ import annotations

from base64 import b64encode

from quietwire.core.jid import parse_jid
from quietwire.server.avatars import identify
from quietwire.server.modules import xep0163_pep
from quietwire.server.modules.xep0398_avatars import MODULE
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly, Client

NAME = identify(b"png")
UPDATE = f"<x xmlns='vcard-temp:x:update'><photo>{NAME}</photo></x>"


class World:
    def __init__(self) -> None:
        self.house = Assembly((MODULE, xep0163_pep.MODULE))
        self.house.add("alice@a.example", Contact(parse_jid("bob@b.example"), subscription="from"))
        self.alice = self.house.log_in("alice@a.example/x", "<presence/>")
        self.house.take_remote()

    def publish(self, node: str, payload: str, item: str = NAME, client: Client | None = None) -> None:
        (client or self.alice).write(
            f"<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>"
            f"<item id='{item}'>{payload}</item></publish></pubsub></iq>"
        )

    def avatar(self, data: bytes = b"png") -> None:
        text = b64encode(data).decode()
        self.publish("urn:xmpp:avatar:data", f"<data xmlns='urn:xmpp:avatar:data'>{text}</data>", identify(data))
        info = f"<info id='{identify(data)}' type='image/png' bytes='3'/>"
        self.publish(
            "urn:xmpp:avatar:metadata", f"<metadata xmlns='urn:xmpp:avatar:metadata'>{info}</metadata>", identify(data)
        )


def test_presence_goes_out_again_when_the_avatar_changes() -> None:
    world = World()
    world.avatar()
    [sent] = world.house.take_remote()
    assert sent == f"<presence from='alice@a.example/x' to='bob@b.example'>{UPDATE}</presence>"
    world.avatar()
    assert world.house.take_remote() == []  # the same picture
    world.avatar(b"other")
    [sent] = world.house.take_remote()
    assert identify(b"other") in sent
    assert sent.count("<photo>") == 1


def test_an_avatar_that_is_withdrawn_is_told_and_a_new_one_after_it() -> None:
    world = World()
    world.avatar()
    world.publish("urn:xmpp:avatar:metadata", "<metadata xmlns='urn:xmpp:avatar:metadata'/>", "none")
    assert "<photo/>" in world.house.take_remote()[-1]
    assert world.house.storage.store.get("vcard", b"alice@a.example", b"avatar").result() is None
    world.avatar()
    assert UPDATE in world.house.take_remote()[-1]


def test_the_next_session_knows_it() -> None:
    world = World()
    world.avatar()
    world.alice.leave()
    world.house.take_remote()
    world.alice = world.house.log_in("alice@a.example/y", "<presence><show>away</show></presence>")
    assert world.house.take_remote() == [
        f"<presence from='alice@a.example/y' to='bob@b.example'><show>away</show>{UPDATE}</presence>"
    ]
    world.alice.write("<presence to='room@r.example/nick'/>")
    assert UPDATE not in world.house.take_remote()[0]
