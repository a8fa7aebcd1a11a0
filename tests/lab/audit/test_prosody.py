from __future__ import annotations

from pathlib import Path

from quietwire.lab.audit import prosody
from quietwire.lab.audit.facts import Facts, pairs

HOST, ROOMS = "x%2eexample", "m%2ex%2eexample"
FILES = {
    f"{HOST}/accounts/anna.dat": 'return { ["salt"] = "s"; ["stored_key"] = "k"; ["created"] = 1795259439; };',
    f"{HOST}/roster/anna.dat": """return {
        [false] = { ["version"] = 2; ["pending"] = { ["eve@y.example"] = {
            { "Let me in"; ["name"] = "status"; ["attr"] = {}; };
            ["name"] = "presence"; ["attr"] = { ["from"] = "eve@y.example"; }; }; }; };
        ["ben@x.example"] = { ["subscription"] = "both"; ["name"] = "Benny"; ["groups"] = { ["Friends"] = true; }; };
    };""",
    f"{HOST}/archive/anna.list": """item({ { "Hello"; ["name"] = "body"; ["attr"] = {}; };
        ["with"] = "ben@x.example"; ["when"] = 1795259439.5; ["key"] = "k"; ["name"] = "message";
        ["attr"] = { ["to"] = "anna@x.example"; ["from"] = "ben@x.example/r"; }; });
        item({ { "cut off""",
    f"{HOST}/blocklist/anna.dat": 'return { [false] = {}; ["eve@y.example"] = 1795259438; };',
    f"{HOST}/archive_prefs/anna.dat": 'return { [false] = true; ["eve@y.example"] = false; };',
    f"{HOST}/private/anna.dat": """return { ["storage:storage:rosternotes"] = { { "shy"; ["name"] = "note";
        ["attr"] = { ["jid"] = "ben@x.example"; }; }; ["name"] = "storage"; ["attr"] = {}; }; };""",
    f"{HOST}/pep/anna.dat": 'return { ["urn:a"] = { ["config"] = { ["access_model"] = "open"; }; }; };',
    f"{HOST}/pep_urn%3axmpp%3abookmarks%3a1/anna.list": """item({ ["name"] = "conference"; ["key"] = "den@m.x.example";
        ["attr"] = { ["name"] = "Den"; }; ["when"] = 1795259439; });""",
    f"{HOST}/lastlog2/anna.dat": 'return { ["login"] = { ["timestamp"] = 1795259439; }; };',
    f"{HOST}/invite_token/t0ken.dat": 'return { ["inviter"] = "anna@x.example"; };',
    f"{ROOMS}/config/den.dat": """return { ["ben@x.example"] = "member"; ["eve@y.example"] = "outcast"; ["_jid"] = "d";
        ["_data"] = { ["name"] = "Den"; ["subject"] = "Moles"; }; ["_affiliation_data"] = {}; };""",
    f"{ROOMS}/persistent.dat": 'return { ["den@m.x.example"] = true; };',
    f"{ROOMS}/uploads.list": """item({ ["name"] = "request"; ["attr"] = { ["filename"] = "cat.png"; };
        ["with"] = "anna@x.example"; ["when"] = 1795259439; });""",
}


def observed(folder: Path) -> Facts:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    facts = Facts()
    assert prosody.is_ours(folder)
    prosody.observe(folder, facts)
    return facts


def test_every_store_is_read(tmp_path: Path) -> None:
    facts = observed(tmp_path)
    assert [fact.what for fact in facts.of("accounts")] == ["anna@x.example"]
    assert facts.of("passwords")[0].what == "SCRAM verifier"
    assert pairs(facts.of("contacts")) == {frozenset(("anna@x.example", "ben@x.example"))}
    assert facts.of("groups")[0].what == "Friends"
    assert (facts.of("requests")[0].who, facts.of("requests")[0].more) == ("eve@y.example", "Let me in")
    message = facts.of("messages")[0]
    assert (message.who, message.what, message.more) == ("ben@x.example", "anna@x.example", "1795259439.5 Hello")
    assert facts.of("blocks")[0].what == "eve@y.example"
    assert facts.of("preferences")[0].what == "eve@y.example"
    assert facts.of("bookmarks")[0].what == "den@m.x.example"
    assert {fact.what for fact in facts.of("nodes")} == {"urn:a", "storage:rosternotes"}
    assert {fact.what for fact in facts.of("rooms")} == {"den@m.x.example"}
    assert {(fact.what, fact.more) for fact in facts.of("members")} == {
        ("ben@x.example", "member"), ("eve@y.example", "outcast"),
    }  # fmt: skip
    assert facts.of("uploads")[0].what == "cat.png"
    assert facts.of("invitations")[0].what == "t0ken"
    assert any(fact.more == "last login" for fact in facts.of("times"))


def test_other_folders_are_not_prosodys(tmp_path: Path) -> None:
    (tmp_path / "file.dat").write_text("x")
    assert not prosody.is_ours(tmp_path)
