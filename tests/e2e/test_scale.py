"""Many sessions on one process: idle, in a busy room, and all at once after a restart.

QUIETWIRE_SCALE says how many sessions (default 400, up to 10,000), QUIETWIRE_OCCUPANTS how many of them are in the room
(default 1,000 at most); the figures are printed (``pytest -s``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Served
from test_abuse import Peer, cpu, memory

from quietwire.testing.playbook import PASSWORD

SESSIONS = int(os.environ.get("QUIETWIRE_SCALE", "400"))
RESOURCES = 8
"""Devices of one account: fewer accounts to make."""
OCCUPANTS = min(int(os.environ.get("QUIETWIRE_OCCUPANTS", "1000")), SESSIONS)
"""Of the busy room: everybody who enters is told to everybody who is in it, half a million presences for 1,000."""
STOP_SECONDS = 10.0 + SESSIONS / 200
"""It takes 0.4 ms of computing a session; on a machine that has other work, several times that."""
KB_PER_SESSION = 60
"""DESIGN §10 allows 50 for an idle one; these have carbons, stream management and eight devices' presence."""
ROOT = Path(__file__).parent

pytestmark = pytest.mark.slow


class Crowd:
    """`crowd.py` as a process."""

    def __init__(self, served: Served, accounts: int) -> None:
        path = os.pathsep.join([str(ROOT.parent / "bench"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "crowd.py"), str(served.port), "a.example", PASSWORD, str(accounts),
             str(RESOURCES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    def do(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return dict(answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Onlooker:
    """Somebody who is logged in and pings all the time; `worst` is how long it took at most."""

    def __init__(self, served: Served) -> None:
        self.peer = Peer(served).log_in("onlooker")
        self.times: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self.times.append(self.peer.ping())

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return max(self.times)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Served, Crowd]]:
    accounts = SESSIONS // RESOURCES
    served = Served(
        tmp_path, [*(f"u{number}" for number in range(accounts)), "onlooker"], "[rates]\nclient_stanzas = 0"
    )
    crowd = Crowd(served, accounts)
    yield served, crowd
    crowd.close()
    assert served.stop(STOP_SECONDS) == 0
    assert "event='fault'" not in served.log.read_text()


def report(title: str, **figures: object) -> None:
    print(f"\n{SESSIONS} sessions, {title}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))


def test_idle_a_busy_room_and_a_storm_after_a_restart(world: tuple[Served, Crowd]) -> None:
    served, crowd = world
    Peer(served).log_in("onlooker").socket.close()
    empty, computed = memory(served), cpu(served)
    told = crowd.do("login 64")
    assert told["sessions"] == SESSIONS // RESOURCES * RESOURCES
    report("logged in", **told, cpu_ms_each=round((cpu(served) - computed) / told["sessions"] * 1e3, 2))

    time.sleep(3)  # what is weighed is what stays
    weight = (memory(served) - empty) / told["sessions"]
    computed, begun = cpu(served), time.monotonic()
    time.sleep(3)
    share = (cpu(served) - computed) / (time.monotonic() - begun)
    report("idle", kb_each=round(weight, 1), total_mb=memory(served) >> 10, cpu_share=round(share, 4))
    assert share < 0.05
    if SESSIONS >= 1_000:  # of few, the first pages of every arena weigh more than they do
        assert weight < KB_PER_SESSION

    onlooker = Onlooker(served)
    computed = cpu(served)
    told = crowd.do("presence")
    report(
        "presence of all", **told, cpu_s=round(cpu(served) - computed, 2), onlooker_worst_s=round(onlooker.stop(), 3)
    )

    onlooker = Onlooker(served)
    computed = cpu(served)
    told = crowd.do(f"room {OCCUPANTS} 5 20")
    worst = onlooker.stop()
    report("a busy room", **told, cpu_s=round(cpu(served) - computed, 2), onlooker_worst_s=round(worst, 3))
    assert told["deliveries"] == OCCUPANTS * 5 * 20
    assert told["doubled"] == 0
    assert worst < 5

    begun = time.monotonic()
    assert served.stop(STOP_SECONDS) == 0
    report("stopped", seconds=round(time.monotonic() - begun, 2))
    assert crowd.do("gone")["gone"] == SESSIONS // RESOURCES * RESOURCES
    served.start()
    onlooker = Onlooker(served)
    computed = cpu(served)
    told = crowd.do(f"login {SESSIONS}")
    worst = onlooker.stop()
    report(
        "all at once after a restart",
        **told,
        cpu_ms_each=round((cpu(served) - computed) / told["sessions"] * 1e3, 2),
        onlooker_worst_s=round(worst, 3),
        onlooker_p99_s=round(sorted(onlooker.times)[len(onlooker.times) * 99 // 100], 3),
    )
    assert worst < 10
    assert "connection-timeout" not in served.log.read_text()
