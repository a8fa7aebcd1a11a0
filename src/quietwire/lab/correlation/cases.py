"""From a simulated world to what attackers get: cases with their truth, and what can be learnt from a known world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.likelihood import Law, learn, surrounded
from quietwire.lab.correlation.shapes import Side
from quietwire.lab.correlation.sight import Case, Watched
from quietwire.lab.correlation.talk import MESSAGE, RECEIPT
from quietwire.lab.correlation.world import World

MOST = 1600
"""Records of one sender that are looked at. Of more, evenly spaced ones."""
CELLS = 120
"""The same where all have one size: steady cells, of which each says as much as another."""
UNRELATED = 2000
"""Records whose surroundings on other links tell how common each delay is."""


Links = Literal["users", "servers"]


def cases(
    world: World, rng: np.random.Generator, number: int, messages: Sequence[int], links: Links = "users"
) -> list[Case]:
    """Up to `number` senders whose partner gets as many messages as the most that are asked for, and is there. For
    servers, senders of the first one whose partner is elsewhere."""
    sent = world.sent
    mains = sent.mains()
    to_main = (sent.kind == MESSAGE) & (mains[sent.sender] == sent.receiver) & np.isfinite(world.down_at)
    to_main &= (world.online[sent.receiver] == [0.0, world.seconds]).all(axis=1)
    if links == "servers":
        to_main &= _leaving(world)
    enough = np.flatnonzero(np.bincount(sent.sender[to_main], minlength=world.users) >= messages[-1])
    order = np.argsort(world.up.link, kind="stable")
    bounds = np.searchsorted(world.up.link[order], np.arange(world.users + 1))
    found = []
    for sender in rng.permutation(enough)[:number]:
        mine = order[bounds[sender] : bounds[sender + 1]]
        at, sizes = world.up.times[mine], world.up.sizes[mine]
        texts = np.sort(world.up_at[to_main & (sent.sender == sender)])
        ends = texts[np.asarray(messages) - 1] + 1e-6
        kept = np.flatnonzero(at <= ends[-1])
        most = CELLS if len(np.unique(sizes)) == 1 else MOST
        if len(kept) > most:
            kept = kept[np.linspace(0, len(kept) - 1, most).astype(np.int64)]
        cuts = np.searchsorted(at[kept], ends, side="right")
        right, itself = int(mains[sender]), -1
        if links == "servers":
            right, itself = int(world.home[right]), 0
        found.append(
            Case(int(sender), right, at[kept], sizes[kept], tuple(map(int, cuts)), tuple(map(float, ends)), itself)
        )
    return found


def _leaving(world: World) -> NDArray[np.bool_]:
    return np.asarray((world.home[world.sent.sender] == 0) & np.isfinite(world.cross_at), np.bool_)


def watched(world: World, links: Links = "users") -> Watched:
    """For servers, the links from the first one to the others."""
    if links == "users":
        return Watched(world.seconds, world.down, world.up)
    assert world.between is not None
    servers = int(world.home.max()) + 1
    side, chosen = world.between, world.between.link < servers
    return Watched(world.seconds, Side(servers, side.times[chosen], side.link[chosen], side.sizes[chosen]))


def laws(world: World, rng: np.random.Generator, links: Links = "users") -> tuple[Law, Law | None]:
    """What an attacker learns who runs the same system: from a sender's records to its partner's link, and from there
    back to the server, where the receipt comes. At least one text was delivered."""
    sent, mains = world.sent, world.sent.mains()
    number = np.bincount(world.up.link, minlength=world.users)
    records = max(1, int(number[np.unique(sent.sender)].sum()))
    at, size, of = world.down_at, world.down_size, np.isfinite(world.down_at)
    if links == "servers":
        at, size, of = world.cross_at, world.cross_size, _leaving(world)
        records = max(1, int(number[world.home == 0].sum()))
    arrived = of & (mains[sent.sender] == sent.receiver)
    grown = size[arrived].astype(np.int64) - world.up_size[arrived]
    down = learn(at[arrived] - world.up_at[arrived], grown, _missed(int(arrived.sum()), records))
    sample = np.sort(rng.choice(world.up.times, min(UNRELATED, len(world.up.times)), replace=False))
    down = surrounded(down, sample, watched(world, links).down, world.seconds)
    if links == "servers":
        return down, None
    answers = np.flatnonzero((sent.kind == RECEIPT) & np.isfinite(world.up_at))
    texts = world.cause[answers]
    kept = (mains[sent.sender[texts]] == sent.receiver[texts]) & np.isfinite(world.up_at[texts])
    answers, texts = answers[kept], texts[kept]
    if not len(answers):
        return down, None
    delay = world.up_at[answers] - world.up_at[texts]
    grown = world.up_size[answers].astype(np.int64) - world.up_size[texts]
    back = learn(delay, grown, _missed(len(answers), records))
    return down, surrounded(back, sample, world.up, world.seconds)


def _missed(told: int, records: int) -> float:
    return float(np.clip(1 - told / records, 0.02, 0.98))
