"""Many clients in one process, told what to do line by line: ``crowd.py PORT HOST PASSWORD ACCOUNTS RESOURCES``.

    login TOGETHER           all log in, so many at once         -> {"sessions", "seconds", "worst_s", "retries"}
    presence                 each broadcasts presence once more  -> {"seconds"}
    room OCCUPANTS SENDERS MESSAGES                               -> {"deliveries", "seconds", "p50_ms", "p99_ms"}
    gone                     until the server has closed all     -> {"gone"}

Each command is answered with one JSON line; ends with its input. Sessions are those of the benchmark.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time

import uvloop
from session import LoadError, Session, unverified_tls
from wire import SHARE, Arrivals, Keys, Letter, RoomArrivals, percentile

DRAIN = 120.0


class Crowd:
    def __init__(self, port: int, host: str, password: str, accounts: int, resources: int) -> None:
        self.port, self.host = port, host
        self.keys = Keys(password.encode())
        self.names = [(f"u{i}", f"r{k}") for k in range(resources) for i in range(accounts)]
        self.sessions: list[Session] = []
        self.tls = unverified_tls()

    async def login(self, together: int) -> dict[str, float]:
        self.sessions = []
        todo = iter(self.names)
        worst, retries = 0.0, 0

        async def worker() -> None:
            nonlocal worst, retries
            for user, device in todo:
                begun = time.perf_counter()
                for patience in (1, 3, 9, 0):  # clients come back, each time a little later
                    session = Session(user, self.host, self.keys, resource=device)
                    try:
                        await session.login(self.port, self.tls)
                        break
                    except (LoadError, OSError):
                        if not patience:
                            raise
                        retries += 1
                        await asyncio.sleep(patience)
                self.sessions.append(session)
                worst = max(worst, time.perf_counter() - begun)

        begun = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(together)))
        seconds = time.perf_counter() - begun
        count = len(self.sessions)
        return {"sessions": count, "seconds": round(seconds, 2), "worst_s": round(worst, 2), "retries": retries}

    async def presence(self) -> dict[str, float]:
        begun = time.perf_counter()
        for session in self.sessions:
            session.transport.write(b"<presence><show>away</show></presence>")
            session.stanzas += 1
            session.ask()
        await self._until(lambda: all(session.acknowledged >= session.stanzas for session in self.sessions))
        return {"seconds": round(time.perf_counter() - begun, 2)}

    async def room(self, occupants: int, senders: int, messages: int) -> dict[str, object]:
        address = b"perf@conference." + self.host.encode()
        inside = self.sessions[:occupants]
        begun = time.perf_counter()
        for session in inside:
            session.arrivals = RoomArrivals([Arrivals() for _ in range(senders)])
            await session.join(address, first=session is inside[0])
        joined = time.perf_counter() - begun
        latencies: list[int] = []
        for session in inside:
            session.on_messages = lambda now, stamps: latencies.extend(now - stamp for stamp in stamps)
        begun = time.perf_counter()
        for number, sender in enumerate(inside[:senders]):
            sender.letter = Letter(address, False, b"groupchat", number * SHARE)
        for _ in range(messages):
            for sender in inside[:senders]:
                sender.send()
            await asyncio.sleep(0.05)
        await self._until(lambda: all(session.arrivals.seen >= senders * messages for session in inside))
        latencies.sort()
        return {
            "occupants": len(inside),
            "join_seconds": round(joined, 2),
            "deliveries": sum(session.arrivals.seen for session in inside),
            "doubled": sum(session.arrivals.doubled for session in inside),
            "seconds": round(time.perf_counter() - begun, 2),
            "p50_ms": percentile(latencies, 0.5),
            "p99_ms": percentile(latencies, 0.99),
        }

    async def gone(self) -> dict[str, int]:
        for session in self.sessions:
            session.closing = True  # what comes now is meant
        await asyncio.gather(*(session.gone() for session in self.sessions))
        return {"gone": len(self.sessions)}

    async def _until(self, true: object) -> None:
        assert callable(true)
        deadline = time.perf_counter() + DRAIN
        while not true():
            if time.perf_counter() > deadline:
                raise LoadError("it did not happen")
            await asyncio.sleep(0.05)  # nobody tells


async def main(crowd: Crowd) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, *numbers = line.split()
        try:
            told = await getattr(crowd, command)(*map(int, numbers))
        except (LoadError, OSError) as error:
            told = {"error": str(error)[:500]}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    gc.disable()
    port, host, password, accounts, resources = sys.argv[1:]
    uvloop.run(main(Crowd(int(port), host, password, int(accounts), int(resources))))
