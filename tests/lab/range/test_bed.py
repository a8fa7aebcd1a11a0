"""The bed with servers and workers that are fakes: a server that echoes, a worker that says two things on its link."""

from __future__ import annotations

import asyncio
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quietwire.lab.people.model import Happening
from quietwire.lab.processes import BedError
from quietwire.lab.range.bed import STAGES, Means, World, run, schedule
from quietwire.lab.range.configs import House
from quietwire.lab.range.hosts import Running
from quietwire.lab.range.scenario import Scenario
from quietwire.lab.range.truth import read
from quietwire.lab.road import Impairment
from quietwire.lab.trace import Open, Record, read_links

WORKER = r"""
import json, socket, sys, time
given = json.loads(sys.stdin.readline())
truth = open(given["truth"], "w")
mine = [d for d in given["cast"]["devices"] if d[0] % given["workers"] == given["worker"]]
def say(**report):
    print(json.dumps(report), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    answer = {}
    if order["do"] == "friends":
        answer = {"missing": FRIENDS}
    elif order["do"] == "play":
        for user, device in mine:
            link = socket.create_connection(("127.0.0.1", given["taps"][f"{user}.{device}"]))
            port = str(link.getsockname()[1])
            for kind, data in (("login", b"\x16\x03\x03\x00\x02ab"), ("message", b"\x17\x03\x03\x00\x05abcde")):
                event = {"at": time.time(), "user": user, "device": device, "kind": kind, "peer": -1, "size": 0}
                truth.write(json.dumps(event | {"link": port, "way": "up"}) + "\n")
                link.sendall(data)
                back = b""
                while len(back) < len(data):
                    back += link.recv(len(data) - len(back))
            link.close()
        truth.flush()
        say(event="done", count=len(mine))
        say(event="trouble", what="a small one")
        answer = {"done": {"login": len(mine)}, "left_out": {"ping": 1}, "ended": time.time()}
    elif order["do"] == "furnish" and FAIL:
        say(n=order["n"], ok=False, error="no furniture")
        continue
    say(n=order["n"], ok=True, **answer)
"""


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Systems:
    """Starts echoes; remembers them."""

    def __init__(self) -> None:
        self.started: list[tuple[House, dict[str, str]]] = []
        self.servers: list[Server] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, house: House, accounts: Mapping[str, str]) -> Running:
        self.started.append((house, dict(accounts)))
        house.logs.mkdir()
        (house.logs / "server.log").write_text("it said this")
        server = Server(("127.0.0.1", house.clients), Echo)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.processes.append(process)
        return Running("echo", "1", house.clients, house.folder, process)


@pytest.fixture
def systems(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("quietwire.lab.range.bed.LINGER", 0.0)
    found = Systems()
    yield found
    for server in found.servers:
        server.shutdown()
        server.server_close()
    for process in found.processes:
        assert process.stdin is not None
        process.stdin.close()
        assert process.poll() is not None, "a server was left running"


def means(systems: Systems, fail: bool = False, friends: int = 0) -> Means:
    worker = WORKER.replace("FAIL", str(fail)).replace("FRIENDS", str(friends))
    starts = dict.fromkeys(("quietwire", "prosody"), systems.start)
    return Means(worker=[sys.executable, "-c", worker], systems=starts, before=before(systems), beside=beside(systems))


def before(systems: Systems) -> Any:
    def shield(house: House, scenario: Scenario, port: int) -> Running:
        (house.folder / "shield").mkdir()
        other = House(house.folder / "shield", house.domain, port, 0, house.chain, house.key)
        return systems.start(other, {"shield": scenario.server})

    return shield


def beside(systems: Systems) -> Any:
    def shield(house: House, scenario: Scenario, port: int, reached: int, folder: Path) -> Running:
        folder.mkdir(parents=True)
        return systems.start(
            House(folder, house.domain, port, 0, house.chain, house.key),
            {"reached": str(reached), "shield": scenario.client},
        )

    return shield


SHORT = Scenario(users=3, seconds=0.2, plan="small")


def play(tmp_path: Path, scenario: Scenario, what: Means) -> tuple[Path, list[str]]:
    said: list[str] = []

    def say(text: str, done: int = 0, total: int = 0) -> None:
        if text not in said[-1:]:
            said.append(text)

    return asyncio.run(run(scenario, tmp_path, say, what)), said


def test_traces_and_truth_lie_apart_and_agree(tmp_path: Path, systems: Systems) -> None:
    place, said = play(tmp_path, SHORT, means(systems))
    assert said == list(STAGES)
    assert sorted(path.name for path in place.iterdir()) == [
        "depends.json", "done.json", "facts.json", "plan.jsonl", "traces", "troubles.txt", "truth.jsonl",
    ]  # fmt: skip
    assert sorted(path.stem for path in (place / "traces").iterdir()) == [
        "client-network.u0", "client-network.u1", "client-network.u2", "server-network.a.example",
    ]  # fmt: skip
    trace = read_links(place / "traces" / "server-network.a.example.jsonl")
    truth = read(place / "truth.jsonl")
    facts = json.loads((place / "facts.json").read_text())
    opened = {event.link: event.initiator for event in trace.events if isinstance(event, Open)}
    assert len(opened) == 4  # three phones and a second device
    assert len(truth) == 8
    for event in truth:
        assert opened[event.link] == facts["addresses"][f"{event.user}.{event.device}"]
        assert facts["links"][event.link] == f"{event.user}.{event.device}"
        records = [each for each in trace.events if isinstance(each, Record) and each.link == event.link]
        assert [each.size for each in records if each.direction == "up"] == [2, 5]
        assert [each.size for each in records if each.direction == "down"] == [2, 5]
    done = json.loads((place / "done.json").read_text())
    assert done["done"] == {"login": 4}
    assert done["left_out"] == {"ping": 2}
    assert done["events"] == 8
    assert done["without_link"] == 0
    assert "a small one" in (place / "troubles.txt").read_text()


def test_what_each_server_is_told(tmp_path: Path, systems: Systems) -> None:
    play(tmp_path, Scenario(users=3, seconds=0.2, plan="small", servers=2, server="steady"), means(systems))
    one, two = (house for house, _ in systems.started)
    assert (one.domain, two.domain) == ("a.example", "b.example")
    assert one.links == {"profile": "steady"}
    assert set(one.others) == {"b.example"}
    assert one.others["b.example"] != two.servers  # a tap is between them
    assert [sorted(accounts) for _, accounts in systems.started] == [["u0", "u2"], ["u1"]]


def test_a_shield_stands_before_the_server(tmp_path: Path, systems: Systems) -> None:
    scenario = Scenario(system="prosody", shield="server", server="steady", users=3, seconds=0.2, plan="small")
    play(tmp_path, scenario, means(systems))
    (server, _), (_, told) = systems.started
    assert server.plain
    assert not server.links
    assert told == {"shield": "steady"}


def test_a_helper_stands_beside_each_device_and_the_tap_behind_it(tmp_path: Path, systems: Systems) -> None:
    scenario = Scenario(system="prosody", shield="client", client="steady", users=3, seconds=0.2, plan="small")
    place, _ = play(tmp_path, scenario, means(systems))
    (server, _), *helpers = systems.started
    assert not server.plain
    assert len(helpers) == 4
    assert len({told["reached"] for _, told in helpers}) == 4
    assert server.clients not in {int(told["reached"]) for _, told in helpers}  # a tap is between them
    # These helpers echo and dial nobody: what devices say is on no link of the network.
    assert not read(place / "truth.jsonl")
    assert json.loads((place / "done.json").read_text())["without_link"] == 8


def test_what_is_behind_a_helper_is_as_it_comes() -> None:
    scenario = Scenario(client="steady", server="steady", links={"tick": 1.0}, users=3, plan="small")
    place = Path("/nowhere")
    profile = World(scenario, place, lambda *_: None, Means())._own_profile()
    assert profile == {"profile": "steady", "follows": True, "tick": 1.0}
    behind = World(replace(scenario, shield="server"), place, lambda *_: None, Means())._own_profile()
    assert behind == {"profile": "steady", "follows": False, "tick": 1.0}, "no helper tells that it paces"
    helped = replace(scenario, shield="both")
    assert World(helped, place, lambda *_: None, Means())._own_profile() == {"profile": "off", "follows": False}
    padded = Scenario(client="padded", padding="records", users=3, plan="small")  # OpenSSL does it
    assert World(padded, place, lambda *_: None, Means())._own_profile() == {"profile": "off", "follows": False}


@pytest.mark.parametrize(
    ("system", "told"), [("prosody", {}), ("quietwire", {"profile": "padded", "padding": "records"})]
)
def test_who_pads_by_records(tmp_path: Path, systems: Systems, system: Any, told: dict[str, str]) -> None:
    scenario = Scenario(system=system, server="padded", padding="records", users=3, seconds=0.2, plan="small")
    play(tmp_path, scenario, means(systems))
    ((house, _),) = systems.started
    assert house.links == told
    assert (house.openssl is not None) == (system == "prosody")


def test_a_bad_road_is_between_the_watchers(tmp_path: Path, systems: Systems) -> None:
    scenario = Scenario(users=3, seconds=0.2, plan="small", up=Impairment(delay=0.1))
    place, _ = play(tmp_path, scenario, means(systems))

    def first(name: str, direction: str) -> float:
        trace = read_links(place / "traces" / f"{name}.jsonl")
        return next(e.time for e in trace.events if isinstance(e, Record) and e.direction == direction)

    near, far = "client-network.u0", "server-network.a.example"
    assert first(far, "up") - first(near, "up") > 0.095  # the loop's clock is not that of the trace
    assert abs(first(near, "down") - first(far, "down")) < 0.1


def test_users_take_turns_on_long_and_short_ways() -> None:
    def ways(**given: Any) -> list[float]:
        scenario = Scenario(users=4, plan="probe", roads=(0.0, 0.1), up=Impairment(delay=0.01), **given)
        world = World(scenario, Path("/nowhere"), lambda *_: None, Means())
        assert [world._impaired(user)[0].delay - 0.01 for user in range(4)] == pytest.approx(
            [world._impaired(user)[1].delay for user in range(4)]
        )
        return [world._impaired(user)[1].delay for user in range(4)]

    assert ways() == [0.0, 0.1, 0.0, 0.1]
    spread = ways(spread=0.3)
    assert spread[0] == 0.0
    assert len({0.1, spread[1], spread[3]}) == 3
    assert ways(spread=0.3) == spread
    assert ways(spread=0.3, seed=2) != spread


def test_what_is_there_is_not_made_again(tmp_path: Path, systems: Systems) -> None:
    first, _ = play(tmp_path, SHORT, means(systems))
    again, said = play(tmp_path, SHORT, means(systems, fail=True))
    assert first == again
    assert not said
    assert len(systems.started) == 1


def test_what_fails_keeps_the_logs(tmp_path: Path, systems: Systems) -> None:
    with pytest.raises(BedError, match="no furniture"):
        play(tmp_path, SHORT, means(systems, fail=True))
    (failed,) = tmp_path.iterdir()
    assert failed.name.endswith(".failed")
    assert (failed / "servers" / "a.example" / "logs" / "server.log").read_text() == "it said this"


def test_friendships_that_are_not_made(tmp_path: Path, systems: Systems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quietwire.lab.range.bed.SETTLE_SECONDS", 1.0)
    with pytest.raises(BedError, match="friendships"):
        play(tmp_path, SHORT, means(systems, friends=2))


def test_two_servers_that_need_a_resolver_and_have_none(tmp_path: Path, systems: Systems) -> None:
    with pytest.raises(BedError, match="resolver"):
        play(tmp_path, Scenario(system="prosody", servers=2, users=3, seconds=0.2, plan="small"), means(systems))


def test_the_same_seed_is_the_same_schedule() -> None:
    life = Scenario(users=6, seconds=60.0, people={"squeeze": 60.0})
    assert schedule(life) == schedule(life)
    other, _ = schedule(Scenario(users=6, seconds=60.0, seed=2, people={"squeeze": 60.0}))
    assert other != schedule(life)[0]


def test_a_plan_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.jsonl"
    file.write_text('{"at": 0.5, "user": 1, "device": 0, "kind": "login", "peer": -1, "size": 0}\n')
    events, people = schedule(Scenario(plan=str(file), users=2))
    assert events == (Happening(0.5, 1, 0, "login", -1, 0),)
    assert people.users == (0, 1)


@pytest.mark.parametrize("scenario", [Scenario(people={"nothing": 1}), Scenario(plan="/nowhere/plan")])
def test_plans_that_cannot_be(scenario: Scenario) -> None:
    with pytest.raises(BedError):
        schedule(scenario)
