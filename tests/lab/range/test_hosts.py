from __future__ import annotations

import hashlib
import hmac
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from quietwire.lab.processes import BedError
from quietwire.lab.range import hosts
from quietwire.lab.range.configs import House
from quietwire.lab.range.scenario import SYSTEMS

LISTENS = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"


def house(folder: Path) -> House:
    (port,) = hosts.spare_ports(1)
    return House(folder, "a.example", port, 0, folder / "a.crt", folder / "a.key")


def test_a_server_is_there_when_it_listens_and_gone_when_it_is_stopped(tmp_path: Path) -> None:
    its = house(tmp_path)
    running = hosts.spawn("test", "1", [sys.executable, "-uc", LISTENS, str(its.clients)], its, EXTRA="1")
    assert hosts.listening(its.clients)
    running.check()
    running.stop()
    assert not hosts.listening(its.clients)
    with pytest.raises(BedError, match="ended with status"):
        running.check()


def test_a_server_is_started_with_its_configuration_of_openssl(tmp_path: Path) -> None:
    its = replace(house(tmp_path), openssl=tmp_path / "openssl.cnf")
    tell = "import os; open('told', 'w').write(os.environ['OPENSSL_CONF']); " + LISTENS
    hosts.spawn("test", "1", [sys.executable, "-uc", tell, str(its.clients)], its).stop()
    assert (tmp_path / "told").read_text() == str(tmp_path / "openssl.cnf")


def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    with pytest.raises(BedError, match=r"test ended with status 3: .*no luck"):
        hosts.spawn("test", "1", [sys.executable, "-c", "print('no luck'); raise SystemExit(3)"], house(tmp_path))


def test_one_that_never_listens_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "START", 0.1)
    with pytest.raises(BedError, match="did not start"):
        hosts.spawn("test", "1", ["sleep", "60"], house(tmp_path))


def test_one_that_does_not_listen_to_reason_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, socket, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    its = house(tmp_path)
    running = hosts.spawn("test", "1", [sys.executable, "-uc", deaf + LISTENS, str(its.clients)], its)
    running.patience = 0.1
    running.stop()
    assert running.process.returncode == -9


def test_spare_ports_differ_and_are_no_outgoing_ones() -> None:
    ports = hosts.spare_ports(9)
    assert len(set(ports)) == 9
    assert all(20_000 <= port < 32_000 and not hosts.listening(port) for port in ports)


def test_silence_is_said(tmp_path: Path) -> None:
    assert hosts.log_end(tmp_path) == hosts.NOTHING


def test_accounts_as_prosody_keeps_them() -> None:
    text = hosts.prosody_account("secret", "salt", 100)
    salted = hashlib.pbkdf2_hmac("sha1", b"secret", b"salt", 100)
    stored = hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).hexdigest()
    assert f'["stored_key"] = "{stored}";' in text
    assert '["iteration_count"] = 100;' in text
    assert hosts.prosody_folder("a-b.example") == "a%2db%2eexample"


def test_every_system_can_be_started() -> None:
    assert set(hosts.SYSTEMS) == set(SYSTEMS)


@pytest.mark.parametrize("system", ["prosody", "ejabberd"])
def test_one_that_is_not_installed_is_one_line(tmp_path: Path, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hosts.release(system) == ""
    with pytest.raises(BedError, match="apt install"):
        hosts.SYSTEMS[system](house(tmp_path), {})


def test_our_release_and_that_of_tls_are_known() -> None:
    assert hosts.release("quietwire")
    assert "SSL" in hosts.tls_release()


def test_a_port_that_nobody_listens_at() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        assert not hosts.listening(one.getsockname()[1])


def test_as_many_files_as_may_be() -> None:
    hosts.more_files()
    found = subprocess.run(["sh", "-c", "ulimit -n; ulimit -Hn"], capture_output=True, check=True).stdout.split()
    assert found[0] == found[1]
