from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quietwire.cli.padding import openssl_configuration, padding_in_force, restart_padded, wanted_block

PADDED = 'domain = "a.example"\n[links]\nprofile = "padded"\n'


@pytest.mark.parametrize(
    ("text", "block"),
    [
        (PADDED, 512),
        (PADDED + "block = 1024", 1024),
        (PADDED + 'block = "x"', 0),
        (PADDED + 'padding = "spaces"', 0),
        (PADDED + 'padding = "records"', 512),
        ('domain = "a.example"', 0),
        ('[links]\nprofile = "off"', 0),
        ("links = 3", 0),
        ("nonsense =", 0),
    ],
)
def test_what_the_configuration_asks_for(tmp_path: Path, text: str, block: int) -> None:
    path = tmp_path / "q.toml"
    path.write_text(text)
    for words in (["--config", str(path)], ["-c", str(path)], [f"--config={path}"]):
        assert wanted_block(["quietwire", "serve", *words]) == block
        assert wanted_block(["quietwire", "account", *words]) == 0
    assert wanted_block(["quietwire"]) == 0
    assert wanted_block(["quietwire", "serve", "--config", str(tmp_path / "none")]) == 0


def test_nothing_is_started_again_without_need(tmp_path: Path) -> None:
    path = tmp_path / "q.toml"
    path.write_text(PADDED)
    openssl = tmp_path / "openssl.cnf"
    openssl.write_text(openssl_configuration(512))
    assert padding_in_force({"OPENSSL_CONF": str(openssl)}) == 512
    assert padding_in_force({}) == padding_in_force({"OPENSSL_CONF": str(tmp_path / "none")}) == 0
    # Either would replace this process.
    restart_padded(["quietwire", "serve", "-c", str(path)], {"OPENSSL_CONF": str(openssl)})
    restart_padded(["quietwire", "account"], {})


def test_openssl_takes_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "openssl.cnf"
    path.write_text(openssl_configuration(512))
    code = "import ssl; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); print('made')"
    environment = {**os.environ, "OPENSSL_CONF": str(path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("made\n", "")
