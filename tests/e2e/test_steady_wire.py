"""The guarantee of `steady` at the kernel: one size, and slots that do not depend on the content. What a packet socket
sees of links of one server, of which half are flooded and half say nothing at all. (The laboratory does the same with
500 links and with attackers: this is the fast part of it.)"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import numpy as np
import pytest
from configs import Setup
from numpy.typing import NDArray
from peers import start_quietwire
from session import Session, unverified_tls
from wire import Keys

from quietwire.lab.capture import Capturing, available
from quietwire.lab.flows import Flow, flows
from quietwire.shaping.policy import SLOT

LINKS = 24
TICK = 0.2
CELL = 510
SECONDS = 12.0
POLICY = f'profile = "steady"\ncell = {CELL}\ntick = {TICK}\nfast_tick = {TICK}\nwindow = 0\nbulk_every = 0\n'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.elsewhere,
    pytest.mark.skipif(bool(available()), reason=available() or "can capture"),
]


def message(number: int, to: str) -> bytes:
    body = "x" * random.Random(number).randrange(1_500)
    return f"<message to='{to}@localhost' type='chat' id='{number}'><body>{body}</body></message>".encode()


async def life(port: int) -> tuple[float, float, set[str]]:
    """Logs everybody in; one floods every second of the others. -> from when to when, and whose local ports."""
    tls, keys = unverified_tls(), Keys(b"pw")
    sessions = [Session(f"u{number}", "localhost", keys) for number in range(LINKS + 1)]
    flooder, rest = sessions[-1], sessions[:-1]
    await asyncio.gather(*(session.login(port, tls) for session in sessions))
    flooded = rest[::2]
    begin = time.time() + 1.0
    number = 0
    while time.time() < begin + SECONDS:
        for session in flooded:
            number += 1
            flooder.transport.write(message(number, session.user))
        await asyncio.sleep(0.05)
    ports = {str(session.transport.get_extra_info("sockname")[1]) for session in flooded}
    own = str(flooder.transport.get_extra_info("sockname")[1])
    await asyncio.gather(*(session.close() for session in sessions))
    return begin, begin + SECONDS, ports | {f"-{own}"}


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Flow], list[Flow]]:
    """Downlinks of those who were flooded, and of those who were not."""
    folder: Path = tmp_path_factory.mktemp("steady")
    server = start_quietwire(folder, LINKS + 1, None, Setup(links=POLICY))
    try:
        with Capturing(folder / "lo.pcap", [server.port]):
            begin, end, marks = asyncio.run(life(server.port))
    finally:
        server.stop()
    groups: tuple[list[Flow], list[Flow]] = ([], [])
    for flow in flows(folder / "lo.pcap"):
        client = next(word for word in flow.link.replace(">", " ").split() if not word.endswith(f":{server.port}"))
        port = client.rpartition(":")[2].rpartition(".")[2]
        if f"-{port}" in marks:
            continue
        part = flow.between(begin, end)
        down = part.ways == -1
        groups[port not in marks].append(Flow(flow.link, part.times[down], part.sizes[down], part.ways[down]))
    return groups


def lags(group: list[Flow]) -> NDArray[np.float64]:
    """Seconds of each cell after its slot began."""
    offset = time.time() - time.monotonic()
    return np.concatenate([(flow.times - offset) % SLOT for flow in group])


def test_both_kinds_are_there(captured: tuple[list[Flow], list[Flow]]) -> None:
    assert [len(group) for group in captured] == [LINKS // 2, LINKS // 2]


def test_one_size(captured: tuple[list[Flow], list[Flow]]) -> None:
    sizes = {int(size) for group in captured for flow in group for size in flow.sizes}
    assert sizes == {CELL + 1 + 16}  # with the type byte and the tag of TLS 1.3


def test_one_cell_a_tick_whatever_there_is_to_say(captured: tuple[list[Flow], list[Flow]]) -> None:
    wanted = SECONDS / TICK
    for group in captured:
        for flow in group:
            assert abs(len(flow) - wanted) <= 2, "a busy machine may miss one"
            gaps = np.diff(flow.times)
            assert np.mean(np.abs(gaps - TICK) < SLOT / 2) > 0.9


def test_slots_do_not_depend_on_the_content(captured: tuple[list[Flow], list[Flow]]) -> None:
    flooded, idle = (lags(group) for group in captured)
    assert abs(np.median(flooded) - np.median(idle)) < 0.0005
    assert abs(np.mean(flooded > 0.01) - np.mean(idle > 0.01)) < 0.05
