"""What sessions on `steady` links cost our server: CPU while nobody says anything, memory a session.

    python tests/bench/steady.py [-n 2000] [--secs 30] [--core 0]

Starts the server twice, with links `off` and `steady` at its default tick, and logs in the sessions, which are then
idle. With `steady` it waits until their windows are over and weighs what is left: one cell a tick and session. One JSON
line a profile comes out; DESIGN §10 is the measure: 15 % of one core for 2,000 sessions, 50 KB a session.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
from pathlib import Path

import uvloop
from configs import Setup
from load import Load
from meter import Meter, rss_kb
from peers import PeerError, Running, more_files, start_quietwire
from session import LoadError

from quietwire.shaping.presets import DESKTOP

WARM = 20
"""Sessions before the first weighing: caches and code that the first logins bring in are not a session's weight."""
SPARE = 5.0
"""Seconds after everything is over."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=2000, help="sessions")
    parser.add_argument("--secs", type=float, default=30.0, help="seconds measured")
    parser.add_argument("--core", type=int, default=None, help="where the server is pinned")
    parser.add_argument("--window", type=float, default=30.0, help="seconds that a window lasts")
    parser.add_argument("--profiles", default="off,steady")
    return parser


def settings(profile: str, window: float) -> str:
    """Keys of `[links]`."""
    return f'profile = "{profile}"\nwindow = {window}\n'


def told(profile: str, sessions: int, empty: int, full: int, meter: Meter, received: int) -> dict[str, object]:
    """`empty`, `full`: KB; `received`: bytes that all clients got while it was measured."""
    return {
        "profile": profile,
        "sessions": sessions,
        "kb_per_session": round((full - empty) / sessions, 2),
        "cpu_share": round(meter.server / meter.wall, 4),
        "cells_per_s": round(received / meter.wall / DESKTOP.cell, 1),
        **meter.report(),
    }


async def measure(profile: str, server: Running, options: argparse.Namespace) -> dict[str, object]:
    load = Load(
        argparse.Namespace(
            pid=str(server.process.pid), port=server.port, host="localhost", ack_every=10, together=min(200, options.n)
        )
    )
    try:
        await load.connect([(f"u{number}", "r0") for number in range(WARM)])
        await load.passing(SPARE)
        empty = rss_kb(load.pids)
        await load.connect([(f"u{number}", "r0") for number in range(WARM, WARM + options.n)])
        # Two windows: the connection's own and the one after the login.
        await load.passing(SPARE + (2 * options.window if profile == "steady" else 0.0))
        full, received = rss_kb(load.pids), 0
        for session in load.sessions:
            heard = session.data_received

            def count(data: bytes, heard: object = heard) -> None:
                nonlocal received
                received += len(data)
                heard(data)  # type: ignore[operator]

            session.data_received = count  # type: ignore[method-assign]
        with Meter(load.pids) as meter:
            await load.passing(options.secs)
        return told(profile, options.n, empty, full, meter, received)
    finally:
        await load.close()


def main(options: argparse.Namespace) -> None:
    more_files()
    for profile in options.profiles.split(","):
        with tempfile.TemporaryDirectory() as folder:
            setup = Setup(links=settings(profile, options.window))
            server = start_quietwire(Path(folder), options.n + WARM, options.core, setup)
            try:
                print(json.dumps(uvloop.run(measure(profile, server, options))), flush=True)
            finally:
                server.stop()


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    try:
        main(arguments().parse_args())
    except (LoadError, PeerError, OSError) as error:
        sys.exit(f"steady.py: {error}")
