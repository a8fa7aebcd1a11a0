"""`quietwire shield`: what it takes and refuses on the command line. How it runs: tests/e2e/test_shield*.py."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from quietwire.cli import app as cli
from quietwire.cli import shield
from quietwire.cli.shield_options import fitting
from quietwire.core.errors import ConfigError
from quietwire.net.daemon import capacity
from quietwire.net.doors import Limits
from quietwire.net.shield import Terms
from quietwire.net.shield_ways import Local
from quietwire.shaping.policy import Policy


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
        ((*CLIENT, "--address", "a..b:5222"), "--address: HOST:PORT"),
        ((*CLIENT, "--tick", "nan"), "--tick: 0.05 to 86,400 seconds"),
        ((*CLIENT, "--fast-tick", "0.5"), "--fast-tick: a whole part of --tick"),
        ((*CLIENT, "--block", "100000000"), "--block: 64 to 8,192 bytes"),
        ((*CLIENT, "--pin", "sha1/x"), "pin: sha256/"),
        ((*CLIENT, "--ca-file", "no.pem"), "no.pem"),
        ((*SERVER, "--to", "192.0.2.1:5222"), "--to: an address of this machine"),
        (SERVER, "no.pem: --certificate: cannot be read"),
        ((*SERVER, "--listen", ""), "nobody could connect"),
        (("tunnel-server", "--certificate", "no.pem", "--key", "no.pem"), "no.pem: --certificate: cannot be read"),
        (("tunnel-server", "--per-network", "0"), "--per-network"),
        (("tunnel-client", "--to", "a..b:5224"), "--to: HOST:PORT"),
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
    assert shield.place("host.example.:1", "x") == ("host.example.", 1)
    assert shield.place("b\u00fccher.example:1", "x") == ("b\u00fccher.example", 1)
    for text in ("", ":1", "a:b", "a:70000", "a", "a..b:1", f"{'a' * 64}:1", ".:1", "../a:1"):
        with pytest.raises(ConfigError):
            shield.place(text, "x")


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


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_a_damaged_authority_is_named_and_made_anew_when_it_is_gone(name: str, tmp_path: Path) -> None:
    shield.own_pair(tmp_path, ["example.org"], lambda line: None)
    (tmp_path / name).write_text("damaged")
    with pytest.raises(ConfigError) as caught:
        shield.own_pair(tmp_path, ["example.org"], lambda line: None)
    assert f"shield: {tmp_path / name}: " in str(caught.value)
    assert "delete it" in str(caught.value)
    assert "tls." not in str(caught.value)
    (tmp_path / name).unlink()
    shield.own_pair(tmp_path, ["example.org"], lambda line: None)
    shield.own_pair(tmp_path, ["example.org"], lambda line: None)


def test_how_many_may_come() -> None:
    async def scene() -> None:
        for limit, doors in ((None, Limits()), (7, Limits(capacity() // 2, 7))):
            running, daemon = shield.begin(lambda line: None, limit)
            assert daemon.doors.limits == doors
            assert daemon.doors.capacity == capacity() // 2, "each has a connection on the other side too"
            running.close()

    asyncio.run(scene())


class Started(Exception):
    """Instead of running."""


@pytest.mark.parametrize("command", ["client", "tunnel-client"])
def test_a_client_sends_what_stock_servers_read_and_a_tunnel_what_it_likes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ejabberd reads 3,000 bytes a second of a client; our own other end reads all."""
    policies: list[Policy] = []

    def started(main: Coroutine[Any, Any, None]) -> None:
        main.close()
        raise Started

    def fitted(policy: Policy, say: Callable[[str], None]) -> Policy:
        policies.append(fitting(policy, say))
        return policies[-1]

    monkeypatch.setattr(shield, "run", started)
    monkeypatch.setattr(shield, "fitting", fitted)
    folder = ("--folder", str(tmp_path))
    where = ("--server", "example.org") if command == "client" else ("--to", "example.org:5224")
    with pytest.raises(Started):
        cli.run(["shield", command, *where, *folder])
    assert [(policy.cell + 40) / policy.fast_tick <= 3000 for policy in policies] == [True] * (command == "client")


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
        assert said == [f"{pair[0]}: a PEM file, our own certificate first"], "no key of a configuration"
        await daemon.stop((helper.shut_down, helper.open))
        running.close()

    asyncio.run(scene())
