"""The client on a server in memory: what it tells, what it keeps, and what it does not believe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from omemo_world import ALICE, BOB, Nodes
from test_db import Ring

from quietwire.client import core, downlink, events, gathered, pubsub, receipts
from quietwire.client.core import Client, Settings
from quietwire.client.errors import ClientError, NoDevices, RequestError
from quietwire.client.omemo_xml import DEVICES
from quietwire.client.outbox import Entry, Outbox
from quietwire.client.trust import Decision
from quietwire.core import ns
from quietwire.core.xml import Element, build, parse, serialise
from quietwire.shaping.policy import Policy, Profile


class Server:
    """Delivers to all sessions of an account; keeps what passes, as a curious one would."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.sessions: dict[str, list[FakeAdapter]] = {}
        self.passed: list[Element] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Of links' shapes, and what is answered."""
        self.shapes: dict[str, Element | str] = {}
        self.late = False
        """What passes was kept for a while, and says so."""

    def route(self, sender: str, stanza: Element) -> None:
        self.passed.append(stanza)
        if self.late and stanza.tag == f"{{{ns.CLIENT}}}message":
            stanza.append(build("{urn:xmpp:delay}delay", {"stamp": "2026-01-01T00:00:00Z"}))
        stanza.set("from", f"{sender}/r")
        for session in self.sessions.get(stanza.get("to", ""), []):
            session.deliver(stanza)
        for session in self.sessions[sender]:
            if stanza.tag == f"{{{ns.CLIENT}}}message" and stanza.get("id") not in session.written:
                forwarded = build("{urn:xmpp:forward:0}forwarded", None, stanza)
                carbon = build("{urn:xmpp:carbons:2}sent", None, forwarded)
                session.deliver(build(f"{{{ns.CLIENT}}}message", {"from": sender}, carbon))


class FakeAdapter:
    """In the place of slixmpp: the same interface, a server that is called instead of written to."""

    server: Server

    def __init__(self, listener: Any, *, jid: str, outbox: Outbox, **_: object) -> None:
        self.listener = listener
        self.jid = jid
        self.outbox = outbox
        self.pep = self.server.nodes.of(jid)
        self.written: set[str] = set()
        self.acknowledging = True
        self.steady = False
        self.followed = 0
        self.frames: list[str] = []
        self.full = asyncio.Event()
        self.full.set()
        """Not set while the link's queue is full."""
        self.open = 0

    async def connect(self, seconds: float) -> None:
        self.server.sessions.setdefault(self.jid, []).append(self)
        self.outbox.enable()
        waiting = self.outbox.start()
        self.listener.session_began(len(waiting))
        self.write(waiting)

    async def close(self) -> None:
        self.server.sessions[self.jid].remove(self)

    def drop_link(self) -> None:
        self.outbox.cut()
        self.listener.link_lost()

    def resume(self) -> None:
        _, again = self.outbox.resume(self.outbox._h)
        self.listener.session_resumed(len(again))
        self.write(again)

    def give_up_session(self) -> None:
        self.outbox.lose()
        self.drop_link()

    def patience(self, seconds: float) -> float:
        return seconds

    async def room(self, taken: int = 0) -> None:
        await self.full.wait()

    def unpack(self) -> None:
        self.frames.append("read")

    def pack(self) -> None:
        self.frames.append("written")

    def follow(self) -> None:
        self.followed += 1

    async def window(self) -> None:
        return

    async def calm(self) -> None:
        return

    def put(self, entry: Entry) -> None:
        self.write(self.outbox.put(entry))

    def write(self, entries: list[Entry]) -> None:
        for entry in entries:
            stanza = parse(entry.data, ns.CLIENT)
            self.written.add(stanza.get("id", ""))
            if stanza.get("to"):
                self.server.route(self.jid, stanza)
        if self.acknowledging and entries:
            confirmed = self.outbox.ack(self.outbox._h + self.outbox.unacked)
            self.listener.confirmed([entry.id for entry in confirmed if entry.id])

    def deliver(self, stanza: Element) -> None:
        self.open += 1

        def done() -> None:
            self.open -= 1

        self.listener.stanza_came(stanza, done)

    async def request(self, type: str, payload: Element, to: str | None = None) -> Element:
        iq = build(f"{{{ns.CLIENT}}}iq", {"type": "result"})
        if payload.tag == f"{{{downlink.NS}}}link":
            self.server.asked.append((type, dict(payload.attrib)))
            if isinstance(answer := self.server.shapes[type], str):
                raise RequestError(answer)
            iq.append(answer)
            return iq
        if payload.tag != f"{{{pubsub.PUBSUB}}}pubsub":
            return iq
        action = payload[0]
        node = action.get("node", "")
        if action.tag.endswith("publish"):
            await self.pep.publish(node, action[0].get("id", ""), action[0][0], many=not node.endswith("devices"))
            return iq
        wanted = action[0].get("id") if len(action) else None
        found = await self.pep.fetch(to or self.jid, node, wanted)
        if found is None:
            raise RequestError("item-not-found")
        item = build(f"{{{pubsub.PUBSUB}}}item", {"id": wanted or "current"}, found)
        iq.append(build(f"{{{pubsub.PUBSUB}}}pubsub", None, build(f"{{{pubsub.PUBSUB}}}items", None, item)))
        return iq


class Town:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server()
        self.clients: list[Client] = []

    async def move_in(self, jid: str, name: str, link: Policy = Policy()) -> Client:  # noqa: B008 - frozen
        client = Client(Settings(jid=jid, password="p", store=self.folder / name, link=link))
        self.clients.append(client)
        await client.connect()
        return client


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Town], Awaitable[None]]], None]:
    def run(test: Callable[[Town], Awaitable[None]]) -> None:
        async def main() -> None:
            made = Town(tmp_path)
            monkeypatch.setattr(FakeAdapter, "server", made.server, raising=False)
            try:
                async with asyncio.timeout(20):
                    await test(made)
            finally:
                for client in made.clients:
                    await client.close()

        asyncio.run(main())

    rings: dict[str, Ring] = {}
    monkeypatch.setattr(core, "Adapter", FakeAdapter)
    monkeypatch.setattr(core, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(core, "_source", lambda jid, passphrase: core.FromKeyring(rings.setdefault(jid, Ring()), jid))
    return run


async def kill(t: Town, client: Client) -> None:
    """Nothing is said, nothing is waited for."""
    client._closed = True
    client._receipts.stop()
    for task in client._tasks:
        task.cancel()
    assert client._omemo is not None
    await client._omemo.close()
    assert client._database is not None
    client._database.close()
    t.clients.remove(client)
    t.server.sessions[client.jid].clear()


Run = Callable[[Callable[[Town], Awaitable[None]]], None]


async def next_of(client: Client, kind: Any) -> Any:
    async for event in client.events():
        if isinstance(event, kind):
            return event
    raise AssertionError("closed")


def adapter_of(client: Client) -> FakeAdapter:
    assert isinstance(client._adapter, FakeAdapter)
    return client._adapter


def forged(client: Client, text: str) -> None:
    adapter_of(client).deliver(parse(text.encode(), ns.CLIENT))


def test_a_device_that_another_left_off_the_list_lists_itself_again(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        node = t.server.nodes.items[ALICE, "urn:xmpp:omemo:2:devices"]
        assert str(alice.device) in serialise(node["current"], ns.CLIENT).decode()
        # Another new device has read the list before this one was on it, and the notification was lost.
        node["current"] = build("{urn:xmpp:omemo:2}devices", None, build("{urn:xmpp:omemo:2}device", {"id": "4711"}))
        while str(alice.device) not in serialise(node["current"], ns.CLIENT).decode():  # noqa: ASYNC110 - its turns
            await asyncio.sleep(0)
        assert "4711" in serialise(node["current"], ns.CLIENT).decode()

    monkeypatch.setattr("quietwire.client.core.RELIST_SECONDS", (0.001,))
    town(test)


def test_a_typing_notice_that_was_kept_says_nothing(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_chat_state(BOB, "composing")
        assert (await next_of(bob, events.ChatState)).state == "composing"
        t.server.late = True
        await alice.send_chat_state(BOB, "composing")
        await alice.send_text(BOB, "it was long ago")
        came = await next_of(bob, events.ChatState | events.Message)
        assert isinstance(came, events.Message)
        assert came.text == "it was long ago"

    town(test)


def test_the_server_sees_nothing_but_envelopes_of_one_size(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        first = await alice.send_text(BOB, "meet me at noon")
        assert (await next_of(bob, events.Message)).text == "meet me at noon"
        t.server.passed.clear()
        await bob.send_text(ALICE, "yes")  # by now both sides have a session: no key exchange in the way
        await next_of(alice, events.Message)
        t.server.passed.clear()
        await alice.send_chat_state(BOB, "composing")
        await alice.send_receipt(BOB, first)
        await alice.send_displayed(BOB, first)
        await alice.send_reaction(BOB, first, ["👍"])
        await alice.send_text(BOB, "a somewhat longer text than the others")
        shapes = [[child.tag for child in stanza] for stanza in t.server.passed]
        encrypted, hints = "{urn:xmpp:omemo:2}encrypted", "{urn:xmpp:hints}"
        assert shapes == [[encrypted, f"{hints}store"]] * 5
        sizes = {len(stanza.findtext(f"{encrypted}/{{urn:xmpp:omemo:2}}payload", "")) for stanza in t.server.passed}
        assert len(sizes) == 1
        assert {frozenset(stanza.keys()) for stanza in t.server.passed} == {frozenset({"to", "type", "id", "from"})}

    town(test)


def test_own_devices_hear_what_this_one_says(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, second, _ = await t.move_in(ALICE, "a1"), await t.move_in(ALICE, "a2"), await t.move_in(BOB, "b")
        id = await alice.send_text(BOB, "hi")
        sent = await next_of(second, events.Sent)
        assert (sent.what.id, sent.what.peer, sent.what.sender) == (id, BOB, ALICE)
        assert [event.what.text for event in second.history(BOB)] == ["hi"]  # type: ignore[attr-defined]

    town(test)


def test_a_message_is_acknowledged_once_it_is_on_disk(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "hi")
        assert adapter_of(bob).open == 1  # delivered, not yet read
        await next_of(bob, events.Message)
        await asyncio.sleep(0)
        assert adapter_of(bob).open == 0
        assert len(bob.history(ALICE)) == 1

    town(test)


def test_what_was_not_acknowledged_survives_the_program(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "one")
        await next_of(bob, events.Message)
        adapter_of(alice).drop_link()
        assert await next_of(alice, events.LinkLost)
        await alice.send_text(BOB, "two")
        await alice.send_chat_state(BOB, "composing")
        assert not await alice.drained(0)
        await kill(t, alice)
        again = await t.move_in(ALICE, "a")
        assert (await next_of(bob, events.Message)).text == "two"
        assert await again.drained(0)

    town(test)


def test_a_resumption_is_told(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "one")
        adapter_of(alice).drop_link()
        await alice.send_text(BOB, "two")
        adapter_of(alice).resume()
        assert (await next_of(alice, events.Resumed)).resent == 1
        assert [(await next_of(bob, events.Message)).text for _ in range(2)] == ["one", "two"]

    town(test)


def test_corrections_and_retractions_by_the_wrong_side_are_ignored(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        id = await alice.send_text(BOB, "mine")
        await next_of(bob, events.Message)
        await bob.send_correction(ALICE, id, "forged")
        await bob.send_retraction(ALICE, id)
        await bob.send_text(ALICE, "end")
        seen = []
        async for event in alice.events():
            seen.append(type(event).__name__)
            if isinstance(event, events.Message):
                break
        assert "Correction" not in seen
        assert "Retraction" not in seen
        await alice.send_correction(BOB, id, "mine, corrected")
        assert (await next_of(bob, events.Correction)).text == "mine, corrected"

    town(test)


def test_what_should_be_inside_is_not_read_outside(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        forged(alice, f"<message from='{BOB}/r' id='1'><received xmlns='urn:xmpp:receipts' id='x'/></message>")
        forged(alice, f"<message from='{BOB}/r' id='2'><envelope xmlns='urn:xmpp:sce:1'/></message>")
        forged(alice, f"<message from='{BOB}/r' id='3'><body>in the clear</body></message>")
        event = await next_of(alice, events.Unencrypted)
        assert (event.id, event.text, event.sender) == ("3", "in the clear", BOB)

    town(test)


def test_another_account_cannot_take_a_message_for_its_own(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "hi")
        await next_of(bob, events.Message)
        await alice.send_text(BOB, "copied")
        stanza = t.server.passed[-1]
        await next_of(bob, events.Message)
        stanza.set("from", "mallory@c.example/r")
        adapter_of(bob).deliver(stanza)
        event = await next_of(bob, events.Undecryptable)
        assert (event.sender, event.reason) == ("mallory@c.example", "unknown-device")

    town(test)


def test_presence_and_errors_are_told(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        forged(alice, f"<presence from='{BOB}' type='subscribe'/>")
        forged(alice, f"<presence from='{BOB}' type='subscribed'/>")
        forged(alice, f"<presence from='{BOB}/r'/>")
        forged(alice, f"<presence from='{ALICE}/other'/>")
        forged(alice, f"<presence from='{BOB}/r' type='unavailable'/>")
        condition = f"<error><remote-server-not-found xmlns='{ns.STANZAS}'/></error>"
        forged(alice, f"<message from='{BOB}' id='9' type='error'>{condition}</message>")
        assert (await next_of(alice, events.SubscriptionRequest)).jid == BOB
        assert (await next_of(alice, events.Subscribed)).jid == BOB
        assert (await next_of(alice, events.Available)).available
        assert not (await next_of(alice, events.Available)).available
        assert await next_of(alice, events.Failed) == events.Failed(
            peer=BOB, id="9", condition="remote-server-not-found"
        )

    town(test)


def test_roster_pushes_count_from_our_own_account_only(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")

        def push(sender: str, jid: str) -> str | None:
            item = build(f"{{{ns.ROSTER}}}item", {"jid": jid, "subscription": "both"})
            query = build(f"{{{ns.ROSTER}}}query", None, item)
            attributes = {"type": "set", "id": "1"} | ({"from": sender} if sender else {})
            return alice.request_came(build(f"{{{ns.CLIENT}}}iq", attributes, query)).get("type")

        assert push(BOB, "evil@e.example") == "error"
        assert push("", BOB) == "result"
        assert push(ALICE, "c@c.example") == "result"
        assert [contact.jid for contact in alice.roster()] == [BOB, "c@c.example"]

    town(test)


def test_a_device_that_appears_is_heard_of_and_written_to(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b1")
        await alice.send_text(BOB, "one")
        assert (await next_of(alice, events.DeviceAnnounced)).device == bob.device
        second = await t.move_in(BOB, "b2")
        item = build(f"{{{pubsub.EVENT}}}item", {"id": "current"}, t.server.nodes.items[BOB, DEVICES]["current"])
        items = build(f"{{{pubsub.EVENT}}}items", {"node": DEVICES}, item)
        event = build(f"{{{pubsub.EVENT}}}event", None, items)
        adapter_of(alice).deliver(build(f"{{{ns.CLIENT}}}message", {"from": BOB, "type": "headline"}, event))
        assert (await next_of(alice, events.DeviceAnnounced)).device == second.device
        await alice.send_text(BOB, "two")
        assert (await next_of(second, events.Message)).text == "two"
        assert {device.device for device in await alice.devices(BOB)} == {bob.device, second.device}

    town(test)


def test_nobody_to_read_it_is_an_error_and_nothing_is_sent(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        t.server.passed.clear()
        with pytest.raises(NoDevices):
            await alice.send_text(BOB, "hi")
        with pytest.raises(ClientError, match="not an address"):
            await alice.send_text("@", "hi")
        assert t.server.passed == []
        assert alice.history(BOB) == []

    town(test)


def test_a_flood_ends_the_session_not_the_memory(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_INBOX", 3)
    monkeypatch.setattr(core, "MAX_EVENTS", 2)

    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        await next_of(alice, events.Connected)
        await asyncio.sleep(0)
        for number in range(4):
            forged(alice, f"<message from='{BOB}' id='{number}'><body>x</body></message>")
        assert await next_of(alice, events.LinkLost)
        for number in range(5):
            alice._tell(events.Resumed(resent=number))
        assert [(await next_of(alice, events.Resumed)).resent for _ in range(2)] == [3, 4]

    town(test)


def test_closing_twice_and_using_after_it(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        await alice.close()
        await alice.close()
        with pytest.raises(ClientError, match="not connected"):
            await alice.send_text(BOB, "x")
        assert [event async for event in alice.events()][-1:] == [events.Connected(resent=0)]

    town(test)


def test_an_address_that_is_none() -> None:
    with pytest.raises(ClientError, match="not a JID"):
        Client(Settings(jid="@", password="p", store=Path("s")))


def seen_of(town: Town, sender: str) -> list[Element]:
    """Messages that passed the server."""
    return [s for s in town.server.passed if s.tag == f"{{{ns.CLIENT}}}message" and s.get("from") == f"{sender}/r"]


async def acquainted(t: Town, count: int = 2) -> tuple[Client, Client, list[str]]:
    """alice, bob on a `steady` link, and what alice said to him: by that he knows that she reads what is gathered."""
    alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
    ids = [await alice.send_text(BOB, f"text {number}") for number in range(count)]
    for _ in ids:
        await next_of(bob, events.Message)
    adapter_of(bob).steady = True
    # The first answer of a ratchet may have an empty message with it: it is not counted.
    await bob.send_text(ALICE, "hello")
    await next_of(alice, events.Message)
    t.server.passed.clear()
    return alice, bob, ids


async def told(client: Client, last: type[events.Event]) -> list[tuple[str, str]]:
    """(kind, whom or what it is about, or the text) of the messages up to the first of kind `last`."""
    found = []
    async for event in client.events():
        if isinstance(event, events.Encrypted):
            found.append((type(event).__name__, getattr(event, "ref", "") or getattr(event, "text", "")))
        if isinstance(event, last):
            break
    return found


def payload_sizes(t: Town, sender: str) -> list[int]:
    path = "{urn:xmpp:omemo:2}encrypted/{urn:xmpp:omemo:2}payload"
    return [len(stanza.findtext(path, "")) for stanza in seen_of(t, sender)]


def test_on_a_steady_link_receipts_and_markers_go_with_the_next_text_and_do_not_show(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        held = await bob.send_receipt(ALICE, ids[0])
        assert await bob.send_receipt(ALICE, ids[1]) == held == await bob.send_displayed(ALICE, ids[0])
        assert seen_of(t, BOB) == []
        assert await bob.send_text(ALICE, "thanks") == held
        assert await told(alice, events.Message) == [
            ("Receipt", ids[0]),
            ("Receipt", ids[1]),
            ("Displayed", ids[0]),
            ("Message", "thanks"),
        ]
        other = await bob.send_text(ALICE, "nothing goes with this one")
        assert other != held
        assert len(set(payload_sizes(t, BOB))) == 1
        assert len(seen_of(t, BOB)) == 2
        assert [stanza.get("id") for stanza in seen_of(t, BOB)] == [held, other]
        kept = [type(event).__name__ for event in bob.history(ALICE)]
        assert kept == ["Message", "Message", "Sent", "Sent", "Sent"]

    town(test)


def test_on_a_steady_link_what_asks_for_receipts_is_short(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, _ = await acquainted(t)
        await bob.send_text(ALICE, "x" * 200)
        await bob.send_text(ALICE, "hello")
        for _ in range(2):
            message = await next_of(alice, events.Message)
            assert (message.wants_receipt, message.markable) == (True, True)
        assert len(set(payload_sizes(t, BOB))) == 1
        adapter_of(bob).steady = False
        await bob.send_text(ALICE, "x" * 200)
        assert (await next_of(alice, events.Message)).wants_receipt
        assert len(set(payload_sizes(t, BOB))) == 2

    town(test)


def test_what_could_not_go_with_a_text_waits_for_another_message(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        held = await bob.send_receipt(ALICE, ids[0])
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.DISTRUSTED)
        with pytest.raises(NoDevices):
            await bob.send_text(ALICE, "not sent")
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.VERIFIED)
        assert await bob.send_text(ALICE, "x" * 200) != held
        assert await bob.send_reaction(ALICE, ids[0], ["👍"]) == held
        assert await told(alice, events.Reaction) == [
            ("Message", "x" * 200),
            ("Receipt", ids[0]),
            ("Reaction", ids[0]),
        ]
        assert len(set(payload_sizes(t, BOB))) == 1

    town(test)


def test_without_a_text_all_that_waits_goes_in_one_stanza(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SECONDS", 0.01)

    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t, 3)
        for id in ids:
            await bob.send_receipt(ALICE, id)
        assert await bob.send_displayed(ALICE, ids[2])
        assert await told(alice, events.Displayed) == [*(("Receipt", id) for id in ids), ("Displayed", ids[2])]
        assert len(seen_of(t, BOB)) == 1
        await bob.send_displayed(ALICE, ids[0])
        assert await told(alice, events.Displayed) == [("Displayed", ids[0])]

    town(test)


def test_no_more_than_eight_wait(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t, receipts.MAX_HELD + 1)
        first = [await bob.send_receipt(ALICE, id) for id in ids[:-1]]
        assert seen_of(t, BOB) == []
        assert await bob.send_receipt(ALICE, ids[-1]) != first[0]
        assert [stanza.get("id") for stanza in seen_of(t, BOB)] == first[:1] == list(set(first))
        assert [(await next_of(alice, events.Receipt)).ref for _ in first] == ids[:-1]

    town(test)


def test_what_waits_survives_the_program_and_a_wished_end_sends_it(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t, 3)
        held = await bob.send_receipt(ALICE, ids[0])
        await kill(t, bob)
        assert seen_of(t, BOB) == []
        bob = await t.move_in(BOB, "b")
        receipt = await next_of(alice, events.Receipt)
        assert (receipt.ref, receipt.id) == (ids[0], held)
        adapter_of(bob).steady = True
        await bob.send_receipt(ALICE, ids[1])
        await bob.close()
        assert (await next_of(alice, events.Receipt)).ref == ids[1]
        bob = await t.move_in(BOB, "b")
        adapter_of(bob).steady = True
        await bob.send_receipt(ALICE, ids[2])
        assert await bob.send_text(ALICE, "nothing is said twice")
        assert await told(alice, events.Message) == [("Receipt", ids[2]), ("Message", "nothing is said twice")]

    town(test)


def test_to_who_does_not_read_several_in_one_each_goes_at_once(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(t: Town) -> None:
        monkeypatch.setattr(gathered, "marked", lambda content: False)  # alice's client is none of ours
        alice, bob, ids = await acquainted(t)
        assert await bob.send_receipt(ALICE, ids[0]) != await bob.send_displayed(ALICE, ids[0])
        assert len(seen_of(t, BOB)) == 2
        assert await told(alice, events.Displayed) == [("Receipt", ids[0]), ("Displayed", ids[0])]
        monkeypatch.undo()
        monkeypatch.setattr(FakeAdapter, "server", t.server, raising=False)
        await alice.send_text(BOB, "now it is")
        await next_of(bob, events.Message)
        await bob.send_receipt(ALICE, "an id unlike ours")
        assert len(seen_of(t, BOB)) == 3
        await bob.send_receipt(ALICE, ids[1])
        assert len(seen_of(t, BOB)) == 3

    town(test)


def test_a_device_that_does_not_read_several_in_one_gets_each_apart_of_what_waited(
    town: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        held = await bob.send_receipt(ALICE, ids[0])
        await bob.send_displayed(ALICE, ids[0])
        await bob.send_receipt(ALICE, ids[1])
        monkeypatch.setattr(core, "FRESH_SECONDS", -1.0)
        second = await t.move_in(ALICE, "a2")
        await bob.send_text(ALICE, "to both of you")
        assert await told(second, events.Message) == [("Message", "to both of you")]
        await bob._try_to_notify(ALICE)
        sent = [stanza.get("id") for stanza in seen_of(t, BOB)][-3:]
        assert held in sent
        for reader in (alice, second):
            found = [(await next_of(reader, events.Receipt | events.Displayed)) for _ in range(3)]
            assert [(type(event).__name__, event.ref) for event in found] == [
                ("Receipt", ids[0]),
                ("Displayed", ids[0]),
                ("Receipt", ids[1]),
            ]
            assert [event.id for event in found] == sent

    town(test)


def test_under_other_profiles_each_goes_at_once_and_nobody_to_read_it_is_no_end(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        await bob.send_receipt(ALICE, ids[0])
        del t.server.nodes.items[ALICE, DEVICES]
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.DISTRUSTED)
        await bob._try_to_notify(ALICE)
        assert seen_of(t, BOB) == []
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.VERIFIED)
        assert bob._receipts.peers(bob._open.batch()) == []
        adapter_of(bob).steady = False
        await bob.send_receipt(ALICE, ids[1])
        await bob.send_displayed(ALICE, ids[1])
        assert len(seen_of(t, BOB)) == 2
        assert await told(alice, events.Displayed) == [("Receipt", ids[1]), ("Displayed", ids[1])]

    town(test)


def test_on_a_steady_link_nobody_hears_of_typing(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "one")
        await next_of(bob, events.Message)
        adapter_of(alice).steady = True
        before = len(t.server.passed)
        assert await alice.send_chat_state(BOB, "composing") == ""
        with pytest.raises(ValueError, match="chat state"):
            await alice.send_chat_state(BOB, "yawning")  # type: ignore[arg-type]
        assert len(t.server.passed) == before
        adapter_of(alice).steady = False
        assert await alice.send_chat_state(BOB, "composing")
        assert (await next_of(bob, events.ChatState)).state == "composing"

    town(test)


def test_a_full_link_pushes_back_and_keeps_the_order(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "first")
        await next_of(bob, events.Message)
        adapter_of(alice).full.clear()
        sending = [asyncio.ensure_future(alice.send_text(BOB, str(number))) for number in range(20)]
        before = len(t.server.passed)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in sending)
        assert len(t.server.passed) == before
        adapter_of(alice).full.set()
        await asyncio.gather(*sending)
        assert [(await next_of(bob, events.Message)).text for _ in range(20)] == [str(number) for number in range(20)]

    town(test)


def test_a_file_within_a_steady_link_is_read_and_kept(town: Run, tmp_path: Path) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        adapter_of(alice).steady = True
        id = await alice.send_file(BOB, picture)
        event = await next_of(bob, events.File)
        assert (event.id, event.name, event.size, event.media, event.url) == (id, "a.png", 3, "image/png", "")
        assert bob.history(ALICE) == [event]
        got = await bob.fetch(event, folder)
        assert got == folder / "a.png"
        with pytest.raises(ClientError, match="leaves the steady link"):
            await alice.send_file(BOB, large)

    picture, large, folder = tmp_path / "a.png", tmp_path / "large", tmp_path / "got"
    picture.write_bytes(b"png")
    large.write_bytes(bytes(20_000))
    folder.mkdir()
    town(test)
    assert (folder / "a.png").read_bytes() == b"png"


def test_the_server_is_asked_to_shape_its_direction_on_each_connection(town: Run) -> None:
    steady = Policy(Profile.STEADY)
    slower = Policy(Profile.STEADY, tick=6.0)

    async def test(t: Town) -> None:
        for number, (on_set, on_get, down, followed) in enumerate(
            (
                (downlink.ask(steady), "", "steady", 1),
                (downlink.ask(slower), "", "steady", 0),  # not our tick: nothing to go before
                ("service-unavailable", "", "off", 0),
                ("not-allowed", downlink.ask(Policy(Profile.PADDED)), "padded", 0),
                ("not-acceptable", "remote-server-timeout", "off", 0),
            )
        ):
            t.server.shapes = {"set": on_set, "get": on_get}
            alice = await t.move_in(ALICE, f"a{number}", steady)
            assert await next_of(alice, events.Shaped) == events.Shaped(up="steady", down=down) == alice.shaped
            assert adapter_of(alice).followed == followed
            assert adapter_of(alice).frames == (["read", "written"] if down == "steady" else ["read"])
            assert t.server.asked[0] == ("set", dict(downlink.ask(steady).attrib))
            assert len(t.server.asked) == (1 if on_get == "" else 2)
            t.server.asked.clear()
        adapter_of(alice).drop_link()
        adapter_of(alice).resume()
        assert (await next_of(alice, events.Shaped)).down == "off"
        t.server.asked.clear()
        plain = await t.move_in(BOB, "b")
        assert plain.shaped is None
        assert adapter_of(plain).frames == []
        assert t.server.asked == []

    town(test)
