"""`client-network`: watches one user's network, so the links of that user's devices to the server."""

from __future__ import annotations

from quietwire.lab.findings import Finding
from quietwire.lab.observers.answers import of_talk
from quietwire.lab.observers.talk import Sealed, sort_out
from quietwire.lab.observers.wire import Seen, app_records, messages, opens
from quietwire.lab.trace import LinkTrace


def observe(trace: LinkTrace) -> list[Finding]:
    links = opens(trace)
    addresses: dict[str, list[str]] = {}
    for name, link in links.items():
        addresses.setdefault(link.initiator, []).append(name)
    up = {address: messages(app_records(trace.events, names, "up")) for address, names in addresses.items()}
    # The device in use sends; what comes down to it is the other's, copies of its own words go to the others.
    active = max(sorted(up), key=lambda address: len(up[address]), default="")
    down = messages(app_records(trace.events, addresses.get(active, ()), "down"))
    events = [*_named(trace, up.get(active, []), active), *_named(trace, down, "")]
    events.sort(key=lambda event: event.time)
    first = {link.initiator: f"{trace.place}#{link.id}" for link in reversed(list(links.values()))}
    return [
        Finding(
            "who",
            {"pairs": []},
            "links lead to the user's own server; with whom the user talks behind it does not show",
            1.0,
            tuple(first.values()),
        ),
        *of_talk(sort_out(events), "message-sized records up and down the link of the device in use", "record sizes"),
        Finding("contacts", {"contacts": {}}, "nothing on the links names or counts contacts", 1.0),
        Finding(
            "devices",
            {"devices": {active: sorted(addresses)}},
            "one long-lived link to the server for each device",
            0.9,
            tuple(first.values()),
        ),
        Finding("text", {"texts": []}, "record headers hold no text", 1.0),
    ]


def _named(trace: LinkTrace, row: list[Seen], sender: str) -> list[Sealed]:
    return [Sealed(seen.time, sender, seen.level, f"{trace.place}#{seen.id}", seen.passing) for seen in row]
