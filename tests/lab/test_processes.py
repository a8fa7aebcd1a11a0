from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from quietwire.lab.processes import BedError, Ordered, Process, Served, kill, run_once, together

ACTOR = """
import json, sys
given = json.loads(sys.stdin.readline())
print(json.dumps({"event": "ready", "given": given}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "die":
        sys.exit("gone")
    ok = order["do"] != "fail"
    print(json.dumps({"n": order["n"], "ok": ok, "error": "no", "twice": order.get("x", 0) * 2}), flush=True)
"""
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_run_once_gives_output_or_the_last_line_of_the_complaint() -> None:
    assert asyncio.run(run_once(python("print('yes')"), os.environ, 20)) == "yes\n"
    with pytest.raises(BedError, match="exit status 1: no such thing"):
        asyncio.run(run_once(python("import sys; sys.exit('first\\nno such thing')"), os.environ, 20))
    with pytest.raises(BedError, match="not done within"):
        asyncio.run(run_once(python("import time; time.sleep(60)"), os.environ, 0.2))


def test_an_actor_takes_orders_and_ends_with_its_input(tmp_path: Path) -> None:
    async def main() -> tuple[list[dict[str, Any]], int]:
        reports: list[dict[str, Any]] = []
        actor = Ordered("alice", tmp_path / "log", lambda _, report: reports.append(report))
        await actor.begin(python(ACTOR), os.environ, {"jid": "a"})
        answers = await asyncio.gather(actor.order("say", x=1), actor.order("say", x=2))
        assert [answer["twice"] for answer in answers] == [2, 4]
        with pytest.raises(BedError, match="alice: fail: no"):
            await actor.order("fail")
        return reports, await actor.stop()

    reports, status = asyncio.run(main())
    assert status == 0
    assert reports == [{"event": "ready", "given": {"jid": "a"}}, {"event": "ended"}]


def test_an_actor_that_dies_fails_its_orders_with_its_last_words(tmp_path: Path) -> None:
    async def main() -> None:
        actor = Ordered("alice", tmp_path / "log", lambda _, report: None)
        await actor.begin(python(ACTOR), os.environ, {})
        with pytest.raises(BedError, match="alice ended: gone"):
            await actor.order("die")
        with pytest.raises(BedError, match="alice ended: gone"):
            await actor.order("say")
        assert await actor.stop() == 1

    asyncio.run(main())


def test_what_does_not_end_is_killed(tmp_path: Path) -> None:
    async def main() -> int:
        process = Process("stubborn", tmp_path / "log")
        await process.start(python(STUBBORN), os.environ)
        assert process.process.stdout is not None
        await process.process.stdout.readline()
        return await process.stop(0.2)

    assert asyncio.run(main()) == -9


def test_a_server_is_ready_when_its_port_answers_and_its_failure_is_told(tmp_path: Path) -> None:
    listening = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
        "sys.stdin.read()"
    )

    async def main() -> None:
        server = Served("a.example", tmp_path / "log")
        await server.start(python(listening), os.environ)
        assert server.process.stdout is not None
        await server.ready(int(await server.process.stdout.readline()), 20)
        assert await server.stop() == 0
        broken = Served("b.example", tmp_path / "other")
        await broken.start(python("import sys; sys.exit('domain: must be given')"), os.environ)
        with pytest.raises(BedError, match=r"b\.example is not there: domain: must be given"):
            await broken.ready(1, 20)

    asyncio.run(main())


def test_one_that_was_never_started_stops_at_once(tmp_path: Path) -> None:
    process = Process("x", tmp_path / "log")
    assert asyncio.run(process.stop()) == 0
    assert not process.ended
    with pytest.raises(BedError, match="not started"):
        _ = process.process


def test_of_things_done_together_one_failure_ends_all() -> None:
    async def main() -> list[str]:
        ended = []

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("waiter")

        async def fail() -> None:
            raise BedError("no")

        with pytest.raises(BedError, match="no"):
            await together(wait(), fail())
        return ended

    async def one(n: int) -> int:
        return n

    async def good() -> list[int]:
        return await together(one(1), one(2))

    assert asyncio.run(main()) == ["waiter"]
    assert asyncio.run(good()) == [1, 2]


def test_killing_what_has_just_ended_is_no_error() -> None:
    async def main() -> int | None:
        process = await asyncio.create_subprocess_exec(*python("pass"))
        await process.wait()
        await kill(process)
        return process.returncode

    assert asyncio.run(main()) == 0
