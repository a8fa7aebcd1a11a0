"""`server-network`: watches all links of one server. Joins what comes in on one with what leaves on another."""

from __future__ import annotations

from quietwire.lab.findings import Finding
from quietwire.lab.observers.answers import of_talk
from quietwire.lab.observers.talk import Sealed, sort_out
from quietwire.lab.observers.wire import Seen, app_records, just_before, messages, opens, together
from quietwire.lab.trace import LinkTrace

SAME_PERSON = 0.5
"""Share of messages that two addresses get at the same moment, from which they are taken for one person's."""


def observe(trace: LinkTrace) -> list[Finding]:
    links = opens(trace)
    home = _home(trace)
    clients: dict[str, list[str]] = {}
    for name, link in links.items():
        if link.initiator != home and link.responder == home and not _is_domain(link.initiator):
            clients.setdefault(link.initiator, []).append(name)
    up = {address: messages(app_records(trace.events, names, "up")) for address, names in clients.items()}
    down = {address: messages(app_records(trace.events, names, "down")) for address, names in clients.items()}
    people = _people(down)
    events: list[Sealed] = []
    pairs: dict[tuple[str, str], list[str]] = {}
    entered = sorted((seen for each in up.values() for seen in each), key=lambda seen: seen.time)
    by_link = {name: link.initiator for name, link in links.items()}
    for name, link in links.items():
        if name in (n for names in clients.values() for n in names):
            continue
        other = link.responder if link.initiator == home else link.initiator
        for seen in messages(app_records(trace.events, [name], "up")):
            ref = f"{trace.place}#{seen.id}"
            if link.initiator == home:
                source = just_before(seen, entered)
                near = people.get(by_link[source.link], "") if source is not None else ""
                sender = near
            else:
                sender = other
                near = _receiver(seen, down, people)
            if near:
                pairs.setdefault((near, other), []).append(ref)
            events.append(Sealed(seen.time, sender, seen.level, ref, seen.passing))
    events.sort(key=lambda event: event.time)
    source_words = "message-sized records between the servers, each joined with the client link that moved with it"
    sizes = "sizes of the records between the servers"
    return [
        Finding(
            "who",
            {"pairs": [list(pair) for pair in sorted(pairs, key=lambda pair: -len(pairs[pair]))]},
            "records on a client's link and on the link to another server move within a tenth of a second",
            0.9 if pairs else 0.0,
            tuple(ref for refs in pairs.values() for ref in refs),
        ),
        *of_talk(sort_out(events), source_words, sizes),
        Finding(
            "contacts",
            {"contacts": _contacts(pairs)},
            "only whom somebody talks to while being watched, and of that only the other's server",
            0.4 if pairs else 0.0,
            tuple(refs[0] for refs in pairs.values()),
        ),
        _devices(trace, people, down),
        Finding("text", {"texts": []}, "record headers hold no text", 1.0),
    ]


def _is_domain(name: str) -> bool:
    return not name.replace(".", "").replace(":", "").isdigit()


def _home(trace: LinkTrace) -> str:
    """The server that is watched: the end that most links share."""
    ends = [end for link in opens(trace).values() for end in (link.initiator, link.responder) if _is_domain(end)]
    return max(sorted(set(ends)), key=ends.count, default="")


def _people(down: dict[str, list[Seen]]) -> dict[str, str]:
    """Address -> the first address of the same person: devices of one account get copies at the same moment."""
    leader: dict[str, str] = {}
    for address in sorted(down):
        leader[address] = next(
            (known for known in leader.values() if together(down[known], down[address]) >= SAME_PERSON), address
        )
    return leader


def _receiver(seen: Seen, down: dict[str, list[Seen]], people: dict[str, str]) -> str:
    for address, copies in down.items():
        if any(0 <= copy.time - seen.time <= 0.1 for copy in copies):
            return people[address]
    return ""


def _contacts(pairs: dict[tuple[str, str], list[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for near, other in pairs:
        found.setdefault(near, []).append(other)
    return found


def _devices(trace: LinkTrace, people: dict[str, str], down: dict[str, list[Seen]]) -> Finding:
    found: dict[str, list[str]] = {}
    for address, leader in people.items():
        found.setdefault(leader, []).append(address)
    refs = [f"{trace.place}#{copies[0].id}" for copies in down.values() if copies]
    return Finding(
        "devices",
        {"devices": found},
        "addresses that get message-sized records at the same moments are devices of one person",
        0.9 if found else 0.0,
        tuple(refs),
    )
