"""What a session begins with, and what comes in it that is no message."""

from __future__ import annotations

from omemo_world import ALICE, BOB
from town import Run, Town, adapter_of, next_of

from quietwire.client import downlink, events
from quietwire.core import ns
from quietwire.core.xml import build
from quietwire.shaping.policy import Policy, Profile


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


def test_roster_pushes_count_from_our_own_account_only(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")

        def push(sender: str, jid: str) -> str | None:
            item = build(f"{{{ns.ROSTER}}}item", {"jid": jid, "subscription": "both"})
            query = build(f"{{{ns.ROSTER}}}query", None, item)
            attributes = {"type": "set", "id": "1"} | ({"from": sender} if sender else {})
            return alice._session.request_came(build(f"{{{ns.CLIENT}}}iq", attributes, query)).get("type")

        assert push(BOB, "evil@e.example") == "error"
        assert push("", BOB) == "result"
        assert push(ALICE, "c@c.example") == "result"
        assert [contact.jid for contact in alice.roster()] == [BOB, "c@c.example"]

    town(test)


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
