"""The module: what it registers, and what happens without anybody's asking."""

from __future__ import annotations

from den import OPEN, SERVICE, Den, jid, said

from quietwire.server.account import Account
from quietwire.server.module import AccountHook
from quietwire.server.modules.xep0045_muc import MODULE, SWEEP_SECONDS, on_erased, on_reload
from quietwire.server.roster import Roster

DAY = 86_400


def test_an_erased_account_is_forgotten() -> None:
    den = Den()
    alice = den.make(persistentroom="1")
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    assert AccountHook("erased", on_erased) in MODULE.handlers
    den.router.erased(jid("bob@a.example"))
    assert jid("bob@a.example") not in den.room.standings
    assert jid("bob@a.example") not in den.restart().room.standings
    assert Account(jid("bob@a.example"), Roster()).jid not in den.room.standings


def test_settings_change_while_rooms_are_open() -> None:
    den = Den()
    den.make()
    hosted, context = den.router.hosted[SERVICE]
    on_reload(context, {"rooms": 1, "members_only": False})
    assert said(den.enter("bob", room=f"lair@{SERVICE}")) == ["presence error resource-constraint"]
    assert not den.rooms.defaults.members_only
    assert den.room.config.members_only
    assert hosted.label == "conference"


def test_what_is_too_old_goes() -> None:
    den = Den(days=2)
    alice = den.make(persistentroom="1", **OPEN)
    den.say(alice, "old")
    den.pass_time(DAY)
    den.say(alice, "newer")
    for _ in range(8):
        den.pass_time(SWEEP_SECONDS)
    left = "".join(den.ask(alice, "set", "<query xmlns='urn:xmpp:mam:2'/>"))
    assert left.count("result") == 2  # one message, and the answer


def test_an_unconfigured_room_expires_by_itself() -> None:
    den = Den()
    alice = den.enter("alice")
    den.quiet()
    for _ in range(20):
        den.pass_time(60)
    assert said(alice) == ["al gone owner/none jid=alice@a.example/x destroy 110"]
