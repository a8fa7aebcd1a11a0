from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.attacks import clients, startups
from quietwire.lab.flows import make
from quietwire.lab.startups import Start

TYPES = ("handshake", "app", "app", "app", "app", "app")
WAYS = (1, -1, 1, -1, 1, -1)


def start(number: int, client: str, sizes: tuple[int, ...], *, system: str = "prosody", server: str = "off") -> Start:
    times = np.arange(len(sizes)) * 0.01
    flow = make(f"{client}.{system}-{number}", times, sizes, WAYS[: len(sizes)])
    return Start(client, "1", system, server, "idle", number == 0, "c2s", flow, TYPES[: len(sizes)])


def test_names_are_those_of_scenarios() -> None:
    sizes = (1, 2, 3)
    assert startups.system(start(0, "a", sizes)) == "prosody"
    assert startups.system(start(0, "a", sizes, system="quietwire")) == "quietwire-off"
    assert startups.system(start(0, "a", sizes, system="quietwire", server="steady")) == "quietwire-server-steady"


def test_of_the_server_is_what_it_sends_once_tls_is_up() -> None:
    assert startups.of_the_server(start(0, "a", (500, 900, 53, 74, 200))).sizes.tolist() == [74]
    assert len(startups.of_the_server(start(0, "a", (500, 900)))) == 0


def test_connections_of_one_start_are_held_out_together() -> None:
    one, other = start(0, "a", (1, 2)), start(1, "a", (1, 2))
    assert [place.user for place in startups.places([one, one, other])] == [0, 0, 1]


def test_what_only_the_client_shows_is_not_seen_in_what_the_server_sends() -> None:
    generator = np.random.default_rng(1)
    starts = []
    for number in range(24):
        for client, hello in (("a", 500), ("b", 600)):
            answer = 74 + int(generator.integers(40))
            starts.append(start(number, client, (hello, 900, 53, answer, 200, 90)))
    said: list[str] = []
    whole, server = startups.measure([*starts, start(0, "a", (1, 2), system="quietwire")], seeds=(1,), say=said.append)
    assert (whole.question, whole.value) == (clients.QUESTION, 1.0)
    assert whole.detail["recall a"] == 1.0
    assert "a taken for b" not in whole.detail
    assert server.question == startups.OF_THE_SERVER
    assert server.value < 0.8
    assert server.detail["a taken for b"] + server.detail["b taken for a"] > 0
    assert "48 starts" in whole.note
    assert sum("left out" in line for line in said) == 2


def test_the_best_number_alone_is_told() -> None:
    starts = [start(n, client, (s, 900, 53, 74, 9)) for n in range(24) for client, s in (("a", 500), ("b", 600))]
    (figure, *_) = startups.measure(starts, seeds=(1,))
    assert "best alone: " in figure.note
    assert [value for name, value in figure.detail.items() if name.startswith("by ")] == pytest.approx([1.0])
