from __future__ import annotations

import socket

import pytest

from quietwire.cli import quickstart


@pytest.fixture(autouse=True)
def ports_of_their_own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run side by side: a quickstart's server does not take the well-known ports, except where that is tested."""

    def free(preferred: int) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    if request.module.__name__.rpartition(".")[2] != "test_quickstart":
        monkeypatch.setattr(quickstart, "_free", free)
