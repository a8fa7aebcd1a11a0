from __future__ import annotations

from pathlib import Path

import pytest

from quietwire.cli.config import load
from quietwire.core.errors import ConfigError
from quietwire.core.jid import JID
from quietwire.seal.server_key import Source
from quietwire.server.s2s_policy import Policy


def write(folder: Path, text: str) -> Path:
    path = folder / "quietwire.toml"
    path.write_text(text)
    return path


def test_only_the_domain_must_be_given(tmp_path: Path) -> None:
    config = load(write(tmp_path, 'domain = "A.Example"'))
    assert config.domain == "a.example"
    assert config.data == tmp_path / "data"
    assert config.key_source() == Source("file", str(tmp_path / "server.key"))
    assert config.tls.certificate == tmp_path / "certificate.pem"
    settings = config.settings()
    assert (settings.domain.text, settings.iterations, settings.plain_login) == ("a.example", 100_000, True)
    assert settings.limits.stanza_bytes == 262_144


def test_administrators(tmp_path: Path) -> None:
    config = load(write(tmp_path, 'domain = "a.example"\n[admin]\njids = ["Me@a.example"]'))
    assert config.settings().admins == {JID.parse("me@a.example")}


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = load(write(tmp_path, 'domain = "a.example"\ndata = "/srv/q"\n[tls]\nauthority = "ca.pem"'))
    assert config.data == Path("/srv/q")
    assert config.tls.authority == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "domain: must be given"),
        ('domain = "a b"', "domain: a domain name"),
        ('domain = "x@a.example"', "domain: a domain name without user"),
        ('domain = "a.example"\nport = 3', "port: no such key"),
        ('domain = "a.example"\n[listen]\nc2s = 70000', "listen.c2s: "),
        ('domain = "a.example"\n[listen]\nc2s = "x"', "listen.c2s: "),
        ('domain = "a.example"\n[limits]\nstanza_bytes = 10', "limits.stanza_bytes: "),
        ('domain = "a.example"\n[links]\nprofile = "invisible"', "links.profile: "),
        ('domain = "a.example"\n[admin]\njids = ["a.example"]', "admin.jids: addresses of accounts"),
        ('domain = "a.example"\n[admin]\njids = ["me@a.example/x"]', "admin.jids: addresses of accounts"),
        ('domain = "a.example"\n[admin]\njids = ["@"]', "admin.jids: addresses of accounts"),
        ('domain = "a.example"\n[web]\nurl = "chat.example"', "web.url: a URL"),
        ('domain = "a.example"\n[modules.nonsense]\na = 1', "modules.nonsense: no such module"),
        (
            'domain = "a.example"\n[modules.offline]\nnonsense = 1',
            "modules.offline.nonsense: no such key; there are bytes, stanzas",
        ),
        ('domain = "a.example"\n[modules.offline]\nstanzas = "many"', "modules.offline.stanzas: a value of type int"),
        ('domain = "a.example"\n[modules.muc]\ncreate = "all"', "modules.muc.create: local, anyone or nobody"),
        ("domain = ", "file: not TOML"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_what_is_allowed(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {line}")
    assert "\n" not in message


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ("", "https://a.example:5443"),
        ("[listen]\nhttps = 443", "https://a.example"),
        ("[listen]\nhttps = 0\nhttp = 5280", "https://a.example"),
        ("[listen]\nhttps = 0", ""),
        ('[web]\nurl = "https://chat.example/xmpp/"', "https://chat.example/xmpp"),
    ],
)
def test_where_browsers_find_the_web_port(tmp_path: Path, more: str, url: str) -> None:
    assert load(write(tmp_path, f'domain = "a.example"\n{more}\n')).web_url() == url


def test_our_own_pages_may_open_a_websocket(tmp_path: Path) -> None:
    text = 'domain = "a.example"\n[web]\nurl = "https://chat.example/x"\norigins = ["https://b.example"]\n'
    assert load(write(tmp_path, text)).web_origins() == ["https://b.example", "https://chat.example"]
    assert load(write(tmp_path, 'domain = "a.example"\n[listen]\nhttps = 0\n')).web_origins() == ["*"]


def test_the_policy_towards_other_servers(tmp_path: Path) -> None:
    text = """
domain = "a.example"
[federation]
authentication = "dialback"
allow = ["*", "*.München.example"]
refuse = ["B.Example"]
domain_bytes = 0
domain_stanzas = 0
log_domains = true
"""
    policy = load(write(tmp_path, text)).federation.policy()
    assert policy.authentication == "dialback"
    assert policy.allow == ("*", "*.münchen.example")
    assert policy.refuse == ("b.example",)
    assert policy.rates.unlimited
    assert policy.name_domains
    assert load(write(tmp_path, 'domain = "a.example"')).federation.policy() == Policy()


@pytest.mark.parametrize("wrong", ["alice@b.example", "b.example/x", "", "*.", "*.*", "b*.example"])
def test_patterns_that_are_no_domains(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"federation\.refuse"):
        load(write(tmp_path, f'domain = "a.example"\n[federation]\nrefuse = ["{wrong}"]'))


def test_certificates_of_domains_below_ours(tmp_path: Path) -> None:
    text = 'domain = "a.example"\n[tls.domains."rooms.a.example"]\ncertificate = "r.pem"\nkey = "/k.pem"\n'
    assert load(write(tmp_path, text)).tls.named() == {"rooms.a.example": (tmp_path / "r.pem", Path("/k.pem"))}
