from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from quietwire.lab.startups import Start, parse, starts
from quietwire.lab.trace import TraceError

WHOLE = {
    "client": "X",
    "version": "1",
    "system": "quietwire",
    "starts": [
        {
            "account": "idle",
            "first": True,
            "links": [{"link": "c2s", "records": [[0.0, 100, "plain"], [2.5, -90, "app"]]}],
        }
    ],
}


def test_the_form() -> None:
    (start,) = parse("x.json", json.dumps(WHOLE))
    assert (start.server, start.flow.link) == ("off", "x-0")
    assert (start.client, start.version, start.account, start.first, start.link) == ("X", "1", "idle", True, "c2s")
    assert start.types == ("plain", "app")
    flow = start.flow
    assert (flow.times.tolist(), flow.sizes.tolist(), flow.ways.tolist()) == ([0.0, 0.0025], [100, 90], [1, -1])


@pytest.mark.parametrize(
    "change",
    [
        {"starts": 5},
        {"client": None, "starts": [{}]},
        {"starts": [{**WHOLE["starts"][0], "account": "rich"}]},  # type: ignore[index]
        {"starts": [{"account": "idle", "first": True, "links": [{"link": "c2s", "records": [[0.0, 1, "tcp"]]}]}]},
        {"starts": [{"account": "idle", "first": True, "links": [{"link": "c2s", "records": [[0.0, 1]]}]}]},
    ],
)
def test_what_does_not_follow_the_form(change: dict[str, object]) -> None:
    with pytest.raises(TraceError, match=r"x\.json"):
        parse("x.json", json.dumps({**WHOLE, **change}))
    with pytest.raises(TraceError, match=r"x\.json"):
        parse("x.json", "{")


def logins() -> list[Start]:
    """Without what is no link of a client to its server, and what the server covers."""
    return [start for start in starts() if start.server == "off" and start.link in ("c2s", "c2s-tls", "websocket")]


def test_there_are_several_starts_of_several_clients_on_both_accounts() -> None:
    counted = Counter((start.client, start.account) for start in logins())
    clients = {client for client, _ in counted}
    assert len(clients) >= 5
    assert all(counted[client, account] >= 3 for client in clients for account in ("idle", "contacts"))
    assert all(start.version and start.system for start in starts())
    assert all(any(s.client == client and s.first for s in starts()) for client in clients)


def test_they_look_like_logins() -> None:
    for start in logins():
        flow = start.flow
        assert start.flow.times[0] == 0.0
        assert np.all(np.diff(flow.times) >= 0)
        assert {1, -1} == set(flow.ways.tolist())
        assert "app" in start.types
        assert "handshake" in start.types


def test_contacts_show() -> None:
    """Who has twenty contacts gets more when logging in: a longer roster, and presence of those who are online."""
    for client in {start.client for start in logins()}:
        down = {
            account: np.median([s.flow.bytes(-1) for s in logins() if (s.client, s.account) == (client, account)])
            for account in ("idle", "contacts")
        }
        assert down["contacts"] > down["idle"], client
