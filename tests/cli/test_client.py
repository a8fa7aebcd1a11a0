"""The command line of the client: options, one-line errors, and what is printed. The client itself is a fake."""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import client as cli
from quietwire.shaping.policy import Policy, Profile

core = pytest.importorskip("quietwire.client.core", reason="the client's libraries are not installed")
from quietwire.client import events  # noqa: E402
from quietwire.client.errors import LoginError  # noqa: E402
from quietwire.client.trust import Decision, Trust  # noqa: E402

DEVICE = core.Device(
    jid="bob@b.example", device=7, fingerprint="00000000 11111111", trust=Trust.BLIND, active=False, own=False
)


FILE = events.File(
    sender="bob@b.example", peer="bob@b.example", device=7, trust=Trust.BLIND, id="f", stamp=1.0,
    name="a.png", size=3, media="image/png", digest="", url="https://up.example/x",
)  # fmt: skip


class FakeClient:
    """Keeps its settings and what it was asked for."""

    last: FakeClient
    confirmed = True
    refuses = False
    refuses_files = False
    offers = False
    answers: events.Shaped | None = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.calls: list[tuple[object, ...]] = []
        self.shaped = self.answers
        FakeClient.last = self

    async def __aenter__(self) -> FakeClient:
        if self.refuses:
            raise LoginError("the server does not accept the password")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.calls.append(("close",))

    async def send_text(self, to: str, text: str) -> str:
        self.calls.append(("send", to, text))
        return "id"

    async def drained(self) -> bool:
        return self.confirmed

    async def send_file(self, to: str, path: Path, *, leave_link: bool) -> str:
        self.calls.append(("file", to, path, leave_link))
        return "id"

    async def fetch(self, file: events.File, folder: Path, *, delay: float) -> Path:
        self.calls.append(("fetch", file.id, folder, delay))
        if self.refuses_files:
            raise LoginError("it cannot be fetched: 404")
        return folder / file.name

    def history(self, jid: str, last: int) -> list[events.Event]:
        self.calls.append(("history", jid))
        return [FILE, events.Sent(what=replace(FILE, id="mine"))]

    async def events(self) -> AsyncIterator[events.Event]:
        if self.offers:
            yield FILE
            return
        yield events.Message(
            sender="bob@b.example",
            peer="bob@b.example",
            device=7,
            trust=Trust.UNDECIDED,
            id="1",
            stamp=1.0,
            text="hi\x1b[2J",
        )
        yield events.LinkLost()

    async def devices(self, jid: str | None) -> list[Any]:
        self.calls.append(("devices", jid))
        return [DEVICE]

    async def decide(self, jid: str, fingerprint: str, decision: Decision) -> Any:
        self.calls.append(("decide", jid, fingerprint, decision))
        return DEVICE


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(core, "Client", FakeClient)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("QUIETWIRE_ACCOUNT", "alice@a.example")
    monkeypatch.setenv("QUIETWIRE_PASSWORD", "pencil")
    app = typer.Typer()
    cli.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_send(run: Any, tmp_path: Path) -> None:
    result = run("send", "bob@b.example", "hi", "--address", "127.0.0.1:5223")
    assert result.exit_code == 0
    assert FakeClient.last.calls == [("send", "bob@b.example", "hi"), ("close",)]
    settings = FakeClient.last.settings
    assert (settings.jid, settings.password, settings.passphrase) == ("alice@a.example", "pencil", None)
    assert (settings.address, settings.direct_tls) == (("127.0.0.1", 5223), True)
    assert settings.store == tmp_path / "quietwire" / "alice@a.example.db"
    assert settings.store.parent.stat().st_mode & 0o777 == 0o700


def test_starttls_and_an_address_of_six_parts(run: Any) -> None:
    assert run("send", "b@b.example", "hi", "--address", "[::1]:5222", "--starttls").exit_code == 0
    assert (FakeClient.last.settings.address, FakeClient.last.settings.direct_tls) == (("::1", 5222), False)


@pytest.mark.parametrize("address", ["host", "host:", ":5222", "host:0", "host:65536", "host:x"])
def test_a_bad_address_is_one_line(run: Any, address: str) -> None:
    result = run("send", "b@b.example", "hi", "--address", address)
    assert result.exit_code == 1
    assert result.stderr == "quietwire: --address: HOST:PORT is expected\n"


def test_an_unconfirmed_message_is_an_error(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeClient, "confirmed", False)
    result = run("send", "b@b.example", "hi")
    assert result.exit_code == 1
    assert "not confirmed" in result.stderr


def test_errors_are_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeClient, "refuses", True)
    result = run("send", "b@b.example", "hi")
    assert (result.exit_code, result.stderr) == (1, "quietwire: the server does not accept the password\n")


def test_listening_in_json(run: Any) -> None:
    lines = [json.loads(line) for line in run("listen", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["Message", "LinkLost"]
    assert (lines[0]["text"], lines[0]["trust"]) == ("hi\x1b[2J", "undecided")


def test_listening_for_eyes_shows_trust_and_no_control_characters(run: Any) -> None:
    result = run("listen")
    assert result.stdout == "Message [undecided] bob@b.example hi\\x1b[2J\nLinkLost\n"


def test_devices(run: Any) -> None:
    result = run("devices", "list", "bob@b.example")
    assert result.stdout == "bob@b.example           7  00000000 11111111  blind, gone\n"
    assert run("devices", "list").exit_code == 0
    assert FakeClient.last.calls[0] == ("devices", None)
    for command, decision in (("verify", Decision.VERIFIED), ("distrust", Decision.DISTRUSTED)):
        assert run("devices", command, "bob@b.example", "0000").exit_code == 0
        assert FakeClient.last.calls[1] == ("decide", "bob@b.example", "0000", decision)


def test_without_the_libraries_one_line_says_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "quietwire.client.core":
            raise ModuleNotFoundError("No module named 'slixmpp'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("send", "b@b.example", "hi")
    assert result.exit_code == 1
    assert result.stderr == (
        "quietwire: this needs the client's libraries; where Quietwire was cloned: pip install '.[client]'\n"
    )


def test_the_link_is_asked_for_and_what_is_not_shaped_is_said(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("send", "b@b.example", "hi").stderr == ""
    assert FakeClient.last.settings.link == Policy()
    monkeypatch.setattr(FakeClient, "answers", events.Shaped(up="steady", down="steady"))
    steady = ("--link-profile", "steady", "--link-tick", "6")
    for command in (("send", "b@b.example", "hi"), ("listen",), ("devices", "list")):
        result = run(*command, *steady)
        assert (result.exit_code, result.stderr) == (0, "")
        assert FakeClient.last.settings.link == Policy(Profile.STEADY, tick=6.0)
    monkeypatch.setattr(FakeClient, "answers", events.Shaped(up="steady", down="off"))
    result = run("send", "b@b.example", "hi", *steady)
    assert result.exit_code == 0
    assert "downlink not shaped" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_link_can_be_set_for_good(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIETWIRE_LINK_PROFILE", "padded")
    assert run("listen").exit_code == 0
    assert FakeClient.last.settings.link.profile is Profile.PADDED


def test_nothing_is_fetched_that_was_not_asked_for(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(FakeClient, "offers", True)
    assert run("listen").stdout == "File [blind] bob@b.example a.png\n"
    assert FakeClient.last.calls == [("close",)]
    result = run("listen", "--fetch", str(tmp_path), "--fetch-delay", "2")
    assert FakeClient.last.calls == [("fetch", "f", tmp_path, 2.0), ("close",)]
    assert f"fetched {tmp_path / 'a.png'}" in result.stderr
    monkeypatch.setattr(FakeClient, "refuses_files", True)
    result = run("listen", "--fetch", str(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "quietwire: it cannot be fetched: 404\n")
