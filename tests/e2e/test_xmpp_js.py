"""@xmpp/client, a library in JavaScript: SASL2, Bind 2 with stream management, and FAST, as it uses them by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from quickstart_world import DOMAIN, PASSWORD, WAIT, Home

VERSION = "0.14.0"
SCRIPT = Path(__file__).parent / "xmpp_js" / "sign_in.mjs"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js with npm is not installed"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script, in which the library is installed."""
    folder = tmp_path_factory.mktemp("xmpp_js")
    shutil.copy(SCRIPT, folder)
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"@xmpp/client@{VERSION}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 and os.environ.get("CI") != "true":
        pytest.skip("@xmpp/client cannot be installed here")
    assert done.returncode == 0, done.stderr
    return folder


def run(library: Path, home: Home, service: str, password: str = PASSWORD) -> Any:
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(home.authority)}
    command = ["node", str(library / SCRIPT.name), service, "alice", password]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_one_round_trip_and_then_a_token(library: Path, home: Home, direct: bool) -> None:
    service = f"xmpps://{DOMAIN}:{home.direct}" if direct else f"xmpp://{DOMAIN}:{home.starttls}"
    told = run(library, home, service)
    assert "error" not in told, told
    first, second = told["first"], told["second"]
    assert first["address"] != second["address"]
    assert first["managed"] is second["managed"] is True
    assert first["token"] == second["token"] == "HT-SHA-256-NONE"
    assert first["auth"] == [["password", "fast"]]
    assert second["auth"] == [["password", "fast"]], "the second session replaced the first one, being the same client"
    assert [tries["token"] for tries in told["mechanisms"]] == [False, True]
    elements = [name for name, _ in told["elements"]]
    assert elements.count("challenge") == 1, "SCRAM the first time, the token the second time"
    assert elements.count("success") == 2
    assert not {"failure", "failed"} & set(elements)


def test_a_wrong_password(library: Path, home: Home) -> None:
    told = run(library, home, f"xmpps://{DOMAIN}:{home.direct}", "wrong")
    assert "not-authorized" in told["error"]
