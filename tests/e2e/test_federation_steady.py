"""Federation where our side of each link between the servers is `steady`: with Prosody, with ejabberd, and with another
of ours. They know nothing of it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import federation_world
import pytest
from federation_world import PASSWORD, House, federate, run

STEADY = "[links.s2s]\nprofile = 'steady'\n"


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(federation_world, "QUIETWIRE", federation_world.QUIETWIRE + STEADY)


def start_ours(house: House) -> subprocess.Popen[bytes]:
    """Another of ours, with the account bob."""
    config = str(house.folder / "theirs.toml")
    text = house.fill(federation_world.QUIETWIRE)
    Path(config).write_text(text.replace(f'domain = "{house.domain}"', f'domain = "{house.domain}"\ndata = "theirs"\n'
                                         'server_key = "theirs.key"', 1))  # fmt: skip
    ours = (sys.executable, "-m", "quietwire")
    run(*ours, "account", "add", "bob", "--password-stdin", "--config", config, stdin=PASSWORD + "\n")
    with (house.folder / "theirs.log").open("wb") as log:
        return subprocess.Popen([*ours, "serve", "--config", config], stdout=log, stderr=log)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["starttls", "direct"])
def test_two_of_ours(tmp_path: Path, kind: str) -> None:
    federate(tmp_path, kind, start_ours)


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("manners", ["", "rich"])
@pytest.mark.skipif(shutil.which("prosody") is None, reason="Debian's prosody is not installed")
def test_prosody(tmp_path: Path, manners: str) -> None:
    federate(tmp_path, "starttls", importlib.import_module("test_federation_prosody").start_prosody, manners=manners)


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.skipif(shutil.which("ejabberdctl") is None, reason="Debian's ejabberd is not installed")
def test_ejabberd(tmp_path: Path) -> None:
    federate(tmp_path, "starttls", importlib.import_module("test_federation_ejabberd").start_ejabberd)
