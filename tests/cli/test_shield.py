"""`quietwire shield`: what it takes and refuses on the command line. How it runs: tests/e2e/test_shield*.py."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from quietwire.cli import app as cli
from quietwire.cli import shield
from quietwire.core.errors import ConfigError
from quietwire.net.shield import Terms
from quietwire.net.shield_ways import Local
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import DESKTOP, PHONE


def complaint(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.run(["shield", *arguments])
    assert ended.value.code in (1, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


CLIENT = ("client", "--server", "example.org")
SERVER = ("server", "--certificate", "no.pem", "--key", "no.pem")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("client", "--server", "a@b"), "--server: a domain"),
        (("client", "--server", "127.0.0.1"), "--server: a domain"),
        ((*CLIENT, "--listen", "0.0.0.0:5222"), "--expose"),
        ((*CLIENT, "--listen", "5222"), "--listen: HOST:PORT"),
        ((*CLIENT, "--listen", ""), "nobody could connect"),
        ((*CLIENT, "--address", "example.org"), "--address: HOST:PORT"),
        ((*CLIENT, "--profile", "quiet"), "--profile: one of off, padded, jitter, steady"),
        ((*CLIENT, "--preset", "watch"), "--preset: one of"),
        ((*CLIENT, "--tick", "0"), "--tick: more than 0"),
        ((*CLIENT, "--tick", "1", "--fast-tick", "0.3"), "whole multiple"),
        ((*CLIENT, "--cell", "20000"), "--cell"),
        ((*CLIENT, "--pin", "sha1/x"), "pin: sha256/"),
        ((*CLIENT, "--ca-file", "no.pem"), "no.pem"),
        ((*SERVER, "--to", "192.0.2.1:5222"), "--to: an address of this machine"),
        (SERVER, "no.pem: tls.certificate"),
        (("tunnel-client", "--to", "example.org:1", "--profile", "jitter"), "steady or padded"),
        (("tunnel-client", "--to", "example.org:1", "--cell", "62"), "--cell: 128 to"),
        (("tunnel-server", "--certificate", "x.pem"), "together with --key"),
        (("tunnel-client",), "--to"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert said in complaint(arguments, capsys)


def test_where_to_listen() -> None:
    assert shield.place("[::1]:5222", "x") == ("::1", 5222)
    assert shield.place("*:5222", "x", empty=True) == ("", 5222)
    assert shield.place(":5222", "x", empty=True) == ("", 5222)
    assert shield.own_place("localhost:1", "x", expose=False) == ("localhost", 1)
    assert shield.own_place("0.0.0.0:1", "x", expose=True) == ("0.0.0.0", 1)
    for text in ("", ":1", "a:b", "a:70000", "a"):
        with pytest.raises(ConfigError):
            shield.place(text, "x")


def test_what_is_not_said_is_the_presets() -> None:
    assert shield.policy_of("steady", "desktop") == replace(DESKTOP, profile=Profile.STEADY)
    assert shield.policy_of("padded", "phone", block=1024) == replace(PHONE, profile=Profile.PADDED, block=1024)
    assert shield.policy_of("steady", "desktop", window=0.0, bulk_every=0.0).window == 0
    mixed = shield.policy_of("jitter", "desktop", pad=True, garbage=2.0, delay=0.0)
    assert mixed == replace(DESKTOP, profile=Profile.JITTER, pad=True, garbage=2.0, delay=0.0)


@pytest.mark.parametrize("tick", [0.1, 0.35, 1.0, 1.7, 5.0, 30.0])
def test_any_tick_has_a_fast_one(tick: float) -> None:
    policy = shield.policy_of("steady", "desktop", tick=tick)
    assert Policy.slots(policy.tick) % Policy.slots(policy.fast_tick) == 0
    assert policy.fast_tick >= min(0.2, tick)


def test_a_profile_says_what_it_costs() -> None:
    assert shield.price(shield.policy_of("steady", "desktop")) == "steady, 816 bytes every 2.2 s, 35 MB a day"
    assert shield.price(shield.policy_of("padded", "desktop")) == "padded"


def test_an_authority_is_made_once_and_kept(tmp_path: Path) -> None:
    folder, said = shield.own_folder(tmp_path / "a" / "b", "x"), list[str]()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    chain, key = shield.own_pair(folder, ["example.org", "localhost"], said.append)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    names = x509.load_pem_x509_certificate(chain.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["example.org", "localhost"]
    before = chain.read_bytes()
    shield.own_pair(folder, ["example.org"], said.append)
    assert chain.read_bytes() == before
    assert said == [f"made an authority of its own: {folder / 'authority.pem'}"]


def test_an_authority_that_ends_soon_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shield, "DAYS", 20)
    chain, _ = shield.own_pair(tmp_path, ["example.org"], lambda line: None)
    before = chain.read_bytes()
    shield.own_pair(tmp_path, ["example.org"], lambda line: None)
    assert chain.read_bytes() != before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        shield.own_folder(tmp_path / "file" / "folder", "x")


def test_a_renewed_certificate_is_read_on_sighup(tmp_path: Path) -> None:
    pair = shield.own_pair(tmp_path, ["example.org"], lambda line: None)

    async def scene() -> None:
        said: list[str] = []
        running, daemon = shield.begin(said.append)
        way = Local(running, "127.0.0.1", 1)
        terms = Terms("", logs_in=False, spaces=True)
        helper = shield.make_shield(running.loop, way, terms, said.append)
        (port,) = await shield.listen(daemon, helper, [("127.0.0.1", 0, True)], pair, Policy())
        assert port
        before = daemon.listeners[0].context
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        after = daemon.listeners[0].context
        assert after is not before
        pair[0].write_text("damaged")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        assert daemon.listeners[0].context is after, "the last good one stays"
        assert len(said) == 1
        await daemon.stop((helper.shut_down, helper.open))
        running.close()

    asyncio.run(scene())
