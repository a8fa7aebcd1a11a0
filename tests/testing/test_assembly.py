from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Iq, Message
from quietwire.server.module import Context, IqGet, MessageHook, Module, PresenceHook, SessionHook, Stage
from quietwire.server.pipeline import Passage
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly, stanza

SEEN: list[str] = []


async def on_get(context: Context, iq: Iq) -> Iq:
    if context.account is not None and context.account.away:
        raise StanzaError("item-not-found")
    value = await context.ports["store"].get("node", b"o", b"k")
    if value is None:
        raise ZeroDivisionError
    return iq.result()


MODULE = Module(
    "probe",
    None,
    (),
    (
        IqGet("{x}q", on_get),
        PresenceHook("out", lambda context, presence: SEEN.append(f"out {presence.type}")),
        PresenceHook("in", lambda context, presence: SEEN.append(f"in {presence.from_}")),
        SessionHook("bound", lambda context: SEEN.append("bound")),
        SessionHook("ended", lambda context: SEEN.append("ended")),
    ),
    (),
    "",
    needs=("store",),
)


def house() -> Assembly:
    SEEN.clear()
    made = Assembly((MODULE,))
    made.add("alice@a.example", Contact(parse_jid("bob@b.example"), subscription="both"))
    return made


def test_a_client_writes_and_takes_and_its_hooks_run() -> None:
    made = house()
    alice = made.log_in("alice@a.example/x", "<presence/>")
    assert [text for text in made.take_remote() if "probe" not in text] == [
        "<presence from='alice@a.example/x' to='bob@b.example'/>"
    ]
    made.receive("<presence to='alice@a.example'/>", "bob@b.example/y")
    alice.take()
    alice.write("<message to='alice@a.example' type='headline'><body>b</body></message>")
    [got] = alice.take()
    assert "<body>b</body>" in got
    alice.leave()
    assert SEEN == ["bound", "out ", "in bob@b.example/y", "out unavailable", "ended"]
    assert made.accounts.loaded == {}


def test_a_read_ends_when_the_test_says_so() -> None:
    made = house()
    made.storage.store.put("node", b"o", b"k", b"v")
    alice = made.log_in("alice@a.example/x")
    made.store.held = True
    alice.write("<iq type='get' id='1'><q xmlns='x'/></iq>")
    assert alice.take() == []
    made.store.release()
    assert alice.take() == ["<iq to='alice@a.example/x' type='result' id='1'/>"]


def test_a_fault_is_raised_and_who_is_away_and_who_is_none_are_the_same_to_a_module() -> None:
    made = house()
    made.add("carol@a.example")
    with pytest.raises(ZeroDivisionError):
        made.log_in("alice@a.example/x").write("<iq type='get' id='1'><q xmlns='x'/></iq>")
    for name in ("nobody", "carol"):
        made.receive(f"<iq type='get' id='2' to='{name}@a.example'><q xmlns='x'/></iq>", "eve@e.example/z")
        [answer] = made.take_remote()
        assert "item-not-found" in answer


def test_what_another_server_sends_reaches_the_clients_and_time_passes() -> None:
    made = house()
    alice = made.log_in("alice@a.example/x", "<presence/>")
    alice.take()
    made.receive("<message to='alice@a.example/x'><body>b</body></message>", "bob@b.example/y")
    assert alice.take() == ["<message from='bob@b.example/y' to='alice@a.example/x'><body>b</body></message>"]
    fired: list[bool] = []
    made.timers.after(5, lambda: fired.append(True))
    made.pass_time(5)
    assert fired == [True]


def test_bad_presence_is_answered() -> None:
    alice = house().log_in("alice@a.example/x")
    alice.write("<presence type='what'/>")
    [answer] = alice.take()
    assert "bad-request" in answer


def test_a_stanza_is_read_with_its_sender() -> None:
    read = stanza("<message to='a@b'><body/></message>", from_=parse_jid("c@d"))
    assert (read.to, read.from_) == (parse_jid("a@b"), parse_jid("c@d"))
    assert isinstance(read, Message)


def test_a_message_hook_is_run() -> None:
    dropped: list[Passage] = []

    def hook(context: Context, passage: Passage) -> None:
        dropped.append(passage)
        passage.drop()

    made = Assembly((Module("drop", None, (), (MessageHook(Stage.ADMIT, hook),), (), ""),))
    made.add("alice@a.example")
    alice = made.log_in("alice@a.example/x", "<presence/>")
    alice.take()
    alice.write("<message to='alice@a.example'/>")
    assert len(dropped) == 1
    assert alice.take() == []
