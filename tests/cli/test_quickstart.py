"""A new user's first command: what it makes, what it says, and that a mistake leaves nothing half made."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from quietwire.cli.account import administrate
from quietwire.cli.config import load
from quietwire.cli.link_options import Preset
from quietwire.cli.quickstart import instructions, prepare
from quietwire.core.errors import ConfigError
from quietwire.shaping.policy import Profile


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """(configuration file, passphrase, recovery code) of one server that all tests look at."""
    return prepare(tmp_path_factory.mktemp("home") / "server", "chat.example", "alice")


def test_its_configuration_is_for_this_machine_alone(made: tuple[Path, str, str]) -> None:
    config = load(made[0])
    assert config.domain == "chat.example"
    assert config.listen.address == "127.0.0.1"
    assert not config.federation.enabled
    assert 0 < config.listen.c2s != config.listen.c2s_tls > 0


def test_the_account_is_there(made: tuple[Path, str, str]) -> None:
    assert administrate(load(made[0]), "account-list") == {"accounts": 1, "unlocked": []}


def test_the_passphrase_has_eighty_bits(made: tuple[Path, str, str]) -> None:
    assert re.fullmatch(r"[a-z]{5}(-[a-z]{5}){4}", made[1])


def test_nobody_else_reads_the_keys(made: tuple[Path, str, str]) -> None:
    folder = made[0].parent
    assert (folder / "key.pem").stat().st_mode & 0o077 == 0
    assert (folder / "data").stat().st_mode & 0o077 == 0
    assert (folder / "data" / "quietwire.sqlite").stat().st_mode & 0o077 == 0


def test_the_certificate_stands_for_the_domain(made: tuple[Path, str, str]) -> None:
    folder = made[0].parent
    certificate = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "chat.example" in names.get_values_for_type(x509.DNSName)
    authority = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "certificate.pem", folder / "key.pem")


def test_the_instructions_can_be_typed(made: tuple[Path, str, str]) -> None:
    config, passphrase, code = made
    said = instructions(config, "alice", passphrase, code)
    assert code in said
    listen = load(config).listen
    assert "alice@chat.example" in said
    assert passphrase in said
    assert "shown once" in said
    assert f"server 127.0.0.1 port {listen.c2s} tls trust" in said
    assert f"--address 127.0.0.1:{listen.c2s_tls} --ca-file {config.parent / 'authority.pem'}" in said
    assert f"quietwire serve -c {config}" in said


def test_passphrase_and_code_are_kept_nowhere(made: tuple[Path, str, str]) -> None:
    config, *secrets = made
    for path in config.parent.rglob("*"):
        if path.is_file():
            assert not any(secret.encode() in path.read_bytes() for secret in secrets), path.name


def test_a_second_quickstart_changes_nothing(made: tuple[Path, str, str]) -> None:
    config = made[0]
    before = {path: path.read_bytes() for path in config.parent.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="has a server already"):
        prepare(config.parent, "chat.example", "alice")
    assert {path: path.read_bytes() for path in config.parent.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("domain", "name", "key"),
    [
        ("a b", "me", "--domain"),
        ("me@chat.example", "me", "--domain"),
        ("", "me", "--domain"),
        ("chat.example", "", "--name"),
        ("chat.example", "two words", "--name"),
        ("chat.example", "me@chat.example", "--name"),
    ],
)
def test_a_mistake_leaves_nothing_behind(tmp_path: Path, domain: str, name: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(tmp_path / "server", domain, name)
    assert caught.value.key == key
    assert not (tmp_path / "server").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made: Not a directory"):
        prepare(tmp_path / "file" / "server", "chat.example", "me")


def test_a_port_in_use_is_not_taken(tmp_path: Path) -> None:
    with socket.socket() as busy:
        try:
            busy.bind(("127.0.0.1", 5222))
        except OSError:
            pass  # somebody else has it: all the better
        config, *_ = prepare(tmp_path / "server", "chat.example", "me")
        assert load(config).listen.c2s != 5222


def test_its_links_are_shaped_if_asked_for(tmp_path: Path, made: tuple[Path, str, str]) -> None:
    assert load(made[0]).links.profile == "off"
    assert "--link" not in instructions(made[0], "alice", "p", "c")
    config, passphrase, code = prepare(tmp_path / "s", "chat.example", "me", Profile.STEADY, Preset.PHONE)
    links = load(config).links
    assert (links.profile, links.preset) == ("steady", "phone")
    assert "--link-profile steady --link-preset phone\n" in instructions(config, "me", passphrase, code)
