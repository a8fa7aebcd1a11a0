"""What both servers' adversaries do with a stanza trace: envelopes, rosters, device lists, readable text."""

from __future__ import annotations

import re
from xml.sax.saxutils import unescape

from quietwire.lab.findings import Finding
from quietwire.lab.observers.answers import of_talk
from quietwire.lab.observers.talk import Guess, Sealed, level_of, sort_out
from quietwire.lab.trace import Stanza, StanzaTrace, local

_PAYLOAD = re.compile(r"<payload[^>]*>([^<]*)<")
_SID = re.compile(r"<header[^>]*\bsid=['\"](\d+)['\"]")
_KEYS = re.compile(r"<keys[^>]*\bjid=['\"]([^'\"]+)['\"][^>]*>(.*?)</keys>", re.S)
_RID = re.compile(r"\brid=['\"](\d+)['\"]")
_BODY = re.compile(r"<body(?:\s[^>]*)?>([^<]+)</body>")
_ITEM = re.compile(r"<item\b[^>]*\bjid=['\"]([^'\"]+)['\"]")
_DEVICE = re.compile(r"<device\b[^>]*\bid=['\"](\d+)['\"]")
_CARBON = re.compile(r"\{urn:xmpp:carbons:2\}(sent|received)$")

Refs = list[str]


def bare(jid: str) -> str:
    return jid.partition("/")[0]


def sender(stanza: Stanza) -> str:
    """Full JID of who sent it: on a client's own stream the stream's, else what the other server states."""
    return stanza.peer if stanza.side == "c2s" else stanza.attributes.get("from", stanza.peer)


def ref(trace: StanzaTrace, stanza: Stanza) -> str:
    return f"{trace.place}#{stanza.id}"


def between_people(trace: StanzaTrace) -> list[Stanza]:
    """Messages as they come in, once each: no carbons, no archive, nothing a service sent."""
    return [
        stanza
        for stanza in trace.stanzas
        if stanza.way == "in"
        and local(stanza.name) == "message"
        and stanza.attributes.get("type") != "error"
        and "@" in sender(stanza)
        and "@" in stanza.attributes.get("to", "")
        and bare(sender(stanza)) != bare(stanza.attributes["to"])
        and any(local(child) in ("encrypted", "body") for child in stanza.children)
        and not any(_CARBON.search(child) for child in stanza.children)
    ]


def sealed(trace: StanzaTrace) -> list[Sealed]:
    """Encrypted messages with the size class of their payload, which base64 shows exactly."""
    events = []
    stanzas = between_people(trace)
    # A client that hints at what need not be stored tells typing notices; one whose hints are all alike tells nothing.
    telling = any(_passing(stanza) for stanza in stanzas)
    for stanza in stanzas:
        payload = _PAYLOAD.search(stanza.bytes)
        if payload is not None:
            size = len(payload.group(1).rstrip("=")) * 3 // 4
            passing = _passing(stanza) if telling else None
            events.append(Sealed(stanza.time, bare(sender(stanza)), level_of(size), ref(trace, stanza), passing))
    return events


def _passing(stanza: Stanza) -> bool:
    return any(local(child) == "no-store" for child in stanza.children)


def guesses(trace: StanzaTrace) -> list[Guess]:
    return sort_out(sealed(trace))


def who(trace: StanzaTrace) -> Finding:
    pairs: dict[tuple[str, str], Refs] = {}
    for stanza in between_people(trace):
        a, b = sorted((bare(sender(stanza)), bare(stanza.attributes["to"])))
        pairs.setdefault((a, b), []).append(ref(trace, stanza))
    return Finding(
        "who",
        {"pairs": [list(pair) for pair in pairs]},
        "the addresses stand in clear on every message that is routed",
        1.0 if pairs else 0.0,
        tuple(each for refs in pairs.values() for each in refs),
    )


def talk(trace: StanzaTrace) -> list[Finding]:
    return of_talk(guesses(trace), "the encrypted messages routed", "size classes of the encrypted payloads")


def contacts(trace: StanzaTrace, *, rosters: bool) -> Finding:
    """From rosters handed out to clients, if `rosters`; from subscriptions, presence and messages in any case."""
    found: dict[str, set[str]] = {}
    refs: Refs = []
    for stanza in trace.stanzas:
        name = local(stanza.name)
        if rosters and name == "iq" and stanza.side == "c2s" and "{jabber:iq:roster}query" in stanza.children:
            for jid in _ITEM.findall(stanza.bytes):
                found.setdefault(bare(stanza.peer), set()).add(jid)
                refs.append(ref(trace, stanza))
        elif name in ("presence", "message") and stanza.way == "in":
            a, b = bare(sender(stanza)), bare(stanza.attributes.get("to", ""))
            if "@" in a and "@" in b and a != b:
                found.setdefault(a, set()).add(b)
                found.setdefault(b, set()).add(a)
                refs.append(ref(trace, stanza))
    how = "rosters as they are handed to clients, and who sends" if rosters else "who sends"
    return Finding(
        "contacts",
        {"contacts": {owner: sorted(jids) for owner, jids in sorted(found.items())}},
        f"{how} presence, requests and messages to whom",
        1.0 if found else 0.0,
        tuple(dict.fromkeys(refs)),
    )


def devices(trace: StanzaTrace) -> Finding:
    """OMEMO device ids: senders and recipients in message headers, and published lists."""
    found: dict[str, set[str]] = {}
    refs: Refs = []
    for stanza in trace.stanzas:
        before = sum(map(len, found.values()))
        author = bare(sender(stanza)) if stanza.way == "in" else bare(stanza.attributes.get("from", ""))
        for number in _SID.findall(stanza.bytes):
            if "@" in author and not any(_CARBON.search(child) for child in stanza.children):
                found.setdefault(author, set()).add(number)
        for jid, keys in _KEYS.findall(stanza.bytes):
            found.setdefault(jid, set()).update(_RID.findall(keys))
        if "urn:xmpp:omemo:2:devices" in stanza.bytes and "@" in author:
            found.setdefault(author, set()).update(_DEVICE.findall(stanza.bytes))
        if sum(map(len, found.values())) > before:
            refs.append(ref(trace, stanza))
    return Finding(
        "devices",
        {"devices": {owner: sorted(ids) for owner, ids in sorted(found.items()) if ids}},
        "OMEMO device numbers stand outside the encryption, in message headers and published device lists",
        1.0 if found else 0.0,
        tuple(refs),
    )


def text(trace: StanzaTrace) -> Finding:
    """Bodies in clear."""
    texts, refs = [], []
    for stanza in trace.stanzas:
        bodies = [unescape(body) for body in _BODY.findall(stanza.bytes)]
        if bodies:
            texts += bodies
            refs.append(ref(trace, stanza))
    how = "bodies in clear" if texts else "no stanza holds a body in clear"
    return Finding("text", {"texts": texts}, how, 1.0, tuple(refs))


def all_of(trace: StanzaTrace, *, rosters: bool) -> list[Finding]:
    return [who(trace), *talk(trace), contacts(trace, rosters=rosters), devices(trace), text(trace)]
