from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quietwire.cli.app import app
from quietwire.cli.invite import day, terminal_code
from quietwire.core.errors import QuietwireError


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "quietwire.toml"
    path.write_text('domain = "a.example"\n[login]\niterations = 4096\n[web]\nurl = "https://web.a.example"\n')
    return str(path)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_life_of_an_invitation_without_a_server(config: str) -> None:
    page, uri = run("invite", "-c", config, "--name", "carol", "--plain").splitlines()
    assert re.fullmatch(r"https://web\.a\.example/invite/[a-z2-7]{24}", page)
    assert uri == f"xmpp:carol@a.example?register;preauth={page.rpartition('/')[2]}"
    [line] = run("invite", "list", "-c", config).splitlines()
    handle, what, by, name, until = line.split("  ")
    assert (what, by, name) == ("account", "by operator", "for one name")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", until)
    assert run("invite", "revoke", handle, "-c", config) == "1 taken back\n"
    assert run("invite", "list", "-c", config) == ""
    with pytest.raises(QuietwireError, match="no open invitation"):
        run("invite", "revoke", handle, "-c", config)


def test_it_shows_a_code_and_how_long_it_is_good(config: str) -> None:
    output = run("invite", "-c", config, "--days", "1")
    assert "█" in output
    assert "https://web.a.example/invite/" in output
    assert "until 20" in output


def test_somebody_here_may_be_the_first_contact(config: str) -> None:
    run("account", "add", "lena", "-c", config)
    _, uri = run("invite", "-c", config, "--from", "lena@a.example", "--plain").splitlines()
    assert uri.startswith("xmpp:lena@a.example?roster;preauth=")
    assert uri.endswith(";ibr=y")
    for words, reason in (
        (("--from", "tom"), "no account here"),
        (("--from", "tom@b.example"), "not an account"),
        (("--name", "lena"), "exists already"),
        (("--name", "a@b@c"), "not an account"),
    ):
        with pytest.raises(QuietwireError, match=reason):
            run("invite", "-c", config, *words)


def test_a_code_is_narrow_enough_for_a_terminal() -> None:
    lines = terminal_code("https://chat.example/invite/" + "a" * 24).splitlines()
    assert len(lines) <= 25
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 80 for line in lines)


def test_the_last_day_is_the_one_before_midnight() -> None:
    assert day(86_400) == "1970-01-01"
