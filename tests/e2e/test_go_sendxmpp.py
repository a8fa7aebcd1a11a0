"""go-sendxmpp, a client in Go with its own TLS and XML: sends over both ports, listens over direct TLS."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from quickstart_world import DOMAIN, PASSWORD, WAIT, Home

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("go-sendxmpp") is None, reason="Debian's go-sendxmpp is not installed"),
]


def command(home: Home, name: str, *more: str, direct: bool) -> list[str]:
    port = home.direct if direct else home.starttls
    how = ("-t",) if direct else ()
    return ["go-sendxmpp", *how, "-u", f"{name}@{DOMAIN}", "-p", PASSWORD, "-j", f"{DOMAIN}:{port}", *more]


def test_sends_and_listens(home: Home) -> None:
    environment = {**os.environ, "SSL_CERT_FILE": str(home.authority), "HOME": str(home.folder)}
    for direct in (False, True):  # bob is away: these wait for him
        text = f"from there, direct TLS: {direct}"
        send = command(home, "alice", f"bob@{DOMAIN}", direct=direct)
        done = subprocess.run(
            send, input=text, text=True, env=environment, timeout=WAIT, check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr
    listen = command(home, "bob", "-l", direct=True)
    with subprocess.Popen(listen, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as listener:
        assert listener.stdout is not None
        try:
            got = [listener.stdout.readline().decode() for _ in range(2)]
        finally:
            listener.terminate()
    assert "direct TLS: False" in got[0]
    assert "direct TLS: True" in got[1]
