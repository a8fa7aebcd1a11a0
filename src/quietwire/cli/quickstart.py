"""`quietwire quickstart`: a local server with one account, and the lines to type into a client one already has."""

from __future__ import annotations

import os
import secrets
import socket
import time
from pathlib import Path

import typer

from quietwire.cli import serve
from quietwire.cli.commands import administrate
from quietwire.cli.config import load
from quietwire.cli.link_options import LinkPreset, LinkProfile, Preset
from quietwire.core.errors import ConfigError
from quietwire.core.jid import JID, JIDError
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.seal.passphrase import make_passphrase
from quietwire.seal.recovery import make_recovery_code
from quietwire.shaping.policy import Profile

DAYS = 90
CONFIG = """# Made by `quietwire quickstart`: a server for this machine alone. docs/configuration.md has every key.
domain = "{domain}"
data = "data"
server_key = "server.key"

[tls]
certificate = "certificate.pem"
key = "key.pem"

[listen]
address = "127.0.0.1"
c2s = {c2s}
c2s_tls = {c2s_tls}
https = {https}

[web]
url = "https://localhost:{https}"

[federation]
enabled = false
"""
LINKS = """
[links]
profile = "{profile}"
preset = "{preset}"
"""


def _free(preferred: int) -> int:
    """`preferred` if it is free, else a port that the kernel chooses."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError("quickstart", "ports", "no port is free on 127.0.0.1")


def _check(domain: str, name: str) -> None:
    """Raises ConfigError."""
    try:
        if not JID.parse(domain).is_domain:
            raise JIDError("not a domain")
    except JIDError:
        raise ConfigError("quickstart", "--domain", "a domain name, for instance localhost") from None
    try:
        if not JID.of(name, domain).local:
            raise JIDError("no name")
    except JIDError:
        raise ConfigError("quickstart", "--name", "the part of an address before the @, for instance alice") from None


def prepare(
    folder: Path, domain: str, name: str, profile: Profile = Profile.OFF, preset: Preset = Preset.DESKTOP
) -> tuple[Path, str, str]:
    """Makes certificate, configuration and account. -> (configuration file, passphrase, recovery code). Raises
    ConfigError."""
    config = folder / "quietwire.toml"
    if config.exists():
        raise ConfigError(str(folder), "folder", f"has a server already: quietwire serve --config {config}")
    _check(domain, name)  # before anything is written: what is half made would be in the way of the next try
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(str(folder), "folder", f"cannot be made: {error.strerror}") from None
    authority = Authority(
        "Quietwire quickstart", now=time.time(), days=DAYS, new_key=new_p256_key, random=secrets.token_bytes
    )
    # Its rooms and uploads have domains of their own; the web port is on this machine.
    issued = authority.issue(list(dict.fromkeys((domain, f"*.{domain}", "localhost"))))
    (folder / "authority.pem").write_bytes(authority.certificate)
    (folder / "certificate.pem").write_bytes(issued.certificate)
    descriptor = os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(issued.key)
    links = LINKS.format(profile=profile, preset=preset) if profile is not Profile.OFF else ""
    config.write_text(CONFIG.format(domain=domain, c2s=_free(5222), c2s_tls=_free(5223), https=_free(5443)) + links)
    passphrase = make_passphrase(secrets.token_bytes)
    code = make_recovery_code(secrets.token_bytes)
    administrate(load(config), "account-add", name=name, password=passphrase, recovery_code=code)
    return config, passphrase, code


def instructions(config: Path, name: str, passphrase: str, code: str) -> str:
    """What to type, for people."""
    settings = load(config)
    jid = f"{name}@{settings.domain}"
    authority = config.parent / "authority.pem"
    port, direct = settings.listen.c2s, settings.listen.c2s_tls
    links = settings.links
    shaped = "" if links.profile == "off" else f" --link-profile {links.profile} --link-preset {links.preset}"
    return f"""
Your server is ready in {config.parent}.

  address      {jid}
  passphrase   {passphrase}
  recovery     {code}   (a code that opens the account when the passphrase is lost)
  server       127.0.0.1, port {port} (STARTTLS) or {direct} (TLS)
  authority    {authority}   (made for this machine: clients ask whether to trust it)

Keep passphrase and code: they are shown once, and what the account keeps is sealed under them.

profanity:   profanity
             /connect {jid} server 127.0.0.1 port {port} tls trust
dino, gajim: add the account {jid}, advanced settings: host 127.0.0.1, port {port}; accept the certificate
quietwire:   quietwire listen --json --account {jid} --address 127.0.0.1:{direct} --ca-file {authority}{shaped}

A second account to talk to:   quietwire account add bob -c {config}
Start it again later:          quietwire serve -c {config}
"""


def register(app: typer.Typer) -> None:
    @app.command("quickstart")
    def quickstart(
        folder: Path = typer.Option(Path("quietwire-quickstart"), "--folder", help="Where the server lives."),
        domain: str = typer.Option("localhost", help="The domain of its addresses."),
        name: str = typer.Option("me", help="Your account's name."),
        run: bool = typer.Option(True, "--run/--no-run", help="Start the server at once."),
        link_profile: LinkProfile = Profile.OFF,
        link_preset: LinkPreset = Preset.DESKTOP,
    ) -> None:
        """Make a local server with one account and run it."""
        config, passphrase, code = prepare(folder, domain, name, link_profile, link_preset)
        typer.echo(instructions(config, name, passphrase, code))
        if run:
            typer.echo("Running; stop it with Ctrl-C.")
            serve.run(load(config), path=config)
