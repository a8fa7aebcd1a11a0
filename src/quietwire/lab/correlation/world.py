"""One server, or several, with up to thousands of users: from what is said to what a watcher of all links sees.

The server is one thread with a queue, as ours is: each stanza takes `timings.service`, so a busy moment delays all
links alike; what else a passage takes is drawn from what was measured. Receipts are made at delivery. A `steady` beat
is late by what the thread still has to do, and by the measured lateness of wakes; every stream by the same, plus its
place in the fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.gathered import gather, larger
from quietwire.lab.correlation.shapes import Shaped, Side, Streams, Writes, shaped
from quietwire.lab.correlation.talk import KINDS, MESSAGE, RECEIPT, TYPING, Talk
from quietwire.lab.correlation.timings import Timings
from quietwire.shaping.policy import SLOT, Policy, Profile

OFF = Policy()
LEAD = 4
"""Slots from a client's cell to the first of its server's band: 0.2 s (`client.link.LEAD`)."""
LINKS = ("up", "down", "between")


@dataclass(frozen=True)
class Shaping:
    """The policies of the client's side, of the server's towards clients, and of servers among themselves."""

    up: Policy = OFF
    down: Policy = OFF
    between: Policy = OFF
    follows: bool = True
    """Clients' cells come before the band of their server's, as those of our client do where both have one tick; those
    of `quietwire shield` come at any time."""

    @property
    def name(self) -> str:
        up, down = _named(self.up), _named(self.down)
        if up == down:
            return up
        if "off" in (up, down):
            return f"{down}, server only" if up == "off" else f"{up}, client only"
        return f"{up} up, {down} down"


def _named(policy: Policy) -> str:
    if policy.profile is Profile.JITTER:
        return f"jitter {policy.delay:g} s" + (f" in batches of {policy.batch:g} s" if policy.batch else "")
    if policy.profile is Profile.STEADY:
        return f"steady {policy.cell} B / {policy.tick:g} s"
    return f"padded to {policy.block}" if policy.profile is Profile.PADDED else "off"


@dataclass(frozen=True)
class Churn:
    """`share` of the users begin or end their connection once, at a random moment."""

    share: float = 0.3


@dataclass(frozen=True)
class Copies:
    """What reaches the server from elsewhere (a room, a prober, a flood) for links of users: n events in any order."""

    at: NDArray[np.float64]
    link: NDArray[np.int32]
    size: NDArray[np.int64]
    """Bytes towards the user."""


NONE = Copies(np.zeros(0), np.zeros(0, np.int32), np.zeros(0, np.int64))


@dataclass(frozen=True)
class World:
    """What a watcher sees, and what is true. Sides by user; `between` by ordered pair of servers, from·servers+to."""

    users: int
    seconds: float
    up: Side
    down: Side
    between: Side | None
    online: NDArray[np.float64]
    """(users, 2): from and to."""
    home: NDArray[np.int32]
    """Of each user the server."""
    sent: Talk
    """With the receipts, at the time when each was put into its sender's outbox."""
    up_at: NDArray[np.float64]
    """Of each of these: when it had left its sender; infinite if it never did."""
    down_at: NDArray[np.float64]
    """When it had left towards its recipient; infinite if it never did, or there was none online."""
    up_size: NDArray[np.int32]
    """Of the record that it left its sender in."""
    down_size: NDArray[np.int32]
    cause: NDArray[np.int64]
    """Of each receipt the index of its text, else -1."""
    cross_at: NDArray[np.float64]
    """When it had left towards the other server; infinite if it stayed, or never did."""
    cross_size: NDArray[np.int32]
    copies_at: NDArray[np.float64]
    """Of each copy when it had left towards its user, infinite if it never did."""
    copies_size: NDArray[np.int32]

    @property
    def latency(self) -> NDArray[np.float64]:
        """Seconds that each delivered text took."""
        texts = (self.sent.kind == MESSAGE) & np.isfinite(self.down_at)
        return np.asarray(self.down_at[texts] - self.sent.at[texts], np.float64)


def simulate(
    talk: Talk,
    shaping: Shaping,
    timings: Timings,
    rng: np.random.Generator,
    *,
    receipts: bool = True,
    churn: Churn | None = None,
    servers: int = 1,
    copies: Copies = NONE,
) -> World:
    """Users are spread over `servers` at random."""
    both = shaping.up.profile is Profile.STEADY and shaping.down.profile is Profile.STEADY
    if shaping.up.profile is Profile.STEADY:
        talk = talk.only(talk.kind != TYPING)  # DESIGN §5: no chat states are sent
    online = _online(rng, talk, churn)
    talk = talk.only((online[talk.sender, 0] <= talk.at) & (talk.at < online[talk.sender, 1]))
    home = (np.arange(talk.users) % servers).astype(np.int32) if servers > 1 else np.zeros(talk.users, np.int32)
    rng.shuffle(home)
    clock = _Clock(shaping, timings, rng, talk.users, talk.seconds, online, home, servers)
    drawn = _drawn(talk.kind, talk.size, timings, rng, both)
    others = _drawn(np.full(len(copies.at), MESSAGE, np.int8), np.zeros(len(copies.at), np.int32), timings, rng, both)
    passed = clock.pass_on(talk, drawn, copies, others)
    cause = np.full(len(talk), -1, np.int64)
    if receipts:
        texts = np.flatnonzero((talk.kind == MESSAGE) & (passed.down_at < talk.seconds))
        at = passed.down_at[texts] + timings.answer.draw(rng, len(texts))
        if both:
            at, texts = gather(talk, texts, at, shaping.up.tick)
        kind = np.full(len(texts), RECEIPT, np.int8)
        more = _drawn(kind, np.zeros(len(texts), np.int32), timings, rng, both)
        every = np.concatenate([talk.at, at])
        order = np.argsort(every, kind="stable")
        place = np.argsort(order)
        cause = np.concatenate([cause, place[texts]])[order]
        talk = Talk(
            talk.users,
            talk.seconds,
            every[order],
            np.concatenate([talk.sender, talk.receiver[texts]])[order],
            np.concatenate([talk.receiver, talk.sender[texts]])[order],
            np.concatenate([talk.kind, kind])[order],
            np.concatenate([talk.size, np.zeros(len(texts), np.int32)])[order],
        )
        drawn = {name: np.concatenate([drawn[name], more[name]])[order] for name in drawn}
        passed = clock.pass_on(talk, drawn, copies, others)
    return World(
        talk.users,
        talk.seconds,
        passed.up,
        passed.down,
        passed.between,
        online,
        home,
        talk,
        passed.up_at,
        passed.down_at,
        passed.up_size,
        passed.down_size,
        cause,
        passed.cross_at,
        passed.cross_size,
        passed.copies_at,
        passed.copies_size,
    )


def _online(rng: np.random.Generator, talk: Talk, churn: Churn | None) -> NDArray[np.float64]:
    online = np.tile(np.array([0.0, talk.seconds]), (talk.users, 1))
    if churn is not None:
        # Not those who talk most: whom they talk with is there, that is why they talk.
        busy = np.bincount(talk.sender, minlength=talk.users) + rng.random(talk.users)
        quiet = np.argsort(busy)[: int(churn.share * talk.users)]
        online[quiet, rng.integers(0, 2, len(quiet))] = rng.random(len(quiet)) * talk.seconds
    return online


def _drawn(
    kind: NDArray[np.int8], size: NDArray[np.int32], timings: Timings, rng: np.random.Generator, both: bool
) -> dict[str, NDArray[np.float64]]:
    """Of each event: bytes on the sender's link and on the recipient's, how long each server takes beside its queue,
    and what jitter draws on each link. Drawn once, so that receipts change nothing for the texts they answer."""
    number = len(kind)
    up, down = np.zeros(number), np.zeros(number)
    for index, name in enumerate(KINDS):
        chosen = np.flatnonzero(kind == index)
        if not len(chosen):
            continue
        known = name if name in timings.up else KINDS[MESSAGE]
        if both:
            up[chosen] = timings.shrunk[known].draw(rng, len(chosen)).astype(np.int64) + larger(size[chosen])
            down[chosen] = up[chosen] + timings.brought[known].draw(rng, len(chosen)).astype(np.int64)
        else:
            up[chosen] = timings.up[known].draw(rng, len(chosen)).astype(np.int64)
            grown = timings.grown[known].draw(rng, len(chosen)).astype(np.int64)
            down[chosen] = np.maximum(1, up[chosen] + grown)
    rests = {
        f"rest {place}": np.maximum(0.0, timings.passage.draw(rng, number) - timings.service) for place in ("1", "2")
    }
    return {"up": up, "down": down, **rests, **{f"luck {name}": rng.random(number) for name in LINKS}}


@dataclass(frozen=True)
class _Passed:
    up: Side
    down: Side
    between: Side | None
    up_at: NDArray[np.float64]
    down_at: NDArray[np.float64]
    up_size: NDArray[np.int32]
    down_size: NDArray[np.int32]
    cross_at: NDArray[np.float64]
    cross_size: NDArray[np.int32]
    copies_at: NDArray[np.float64]
    copies_size: NDArray[np.int32]


class _Clock:
    """What stays the same when the receipts are added: phases, lateness, connections."""

    def __init__(
        self,
        shaping: Shaping,
        timings: Timings,
        rng: np.random.Generator,
        users: int,
        seconds: float,
        online: NDArray[np.float64],
        home: NDArray[np.int32],
        servers: int,
    ) -> None:
        self.shaping, self.timings, self.rng, self.servers = shaping, timings, rng, servers
        self.users, self.seconds, self.online, self.home = users, seconds, online, home
        self.streams = {
            name: streams(policy, rng, online[:, 0], online[:, 1])
            for name, policy in (("up", shaping.up), ("down", shaping.down))
        }
        pairs = np.tile(np.array([0.0, seconds]), (servers * servers, 1))
        self.streams["between"] = streams(shaping.between, rng, pairs[:, 0], pairs[:, 1])
        bands = rng.integers(0, 1 << 32, servers)
        self._gather("down", bands[home])
        self._gather("between", bands.repeat(servers))
        both = shaping.up.profile is shaping.down.profile is Profile.STEADY
        if shaping.follows and both and shaping.up.tick == shaping.down.tick:
            self.streams["up"].phase[:] = self.streams["down"].phase - shaping.up.band() - LEAD
        self.wakes = timings.late.draw(rng, math.ceil(seconds / SLOT) + 1)

    def _gather(self, name: str, begin: NDArray[np.int64]) -> None:
        """What a server writes lies in its band: as `net.pacer.Pacer.phase`."""
        policy: Policy = getattr(self.shaping, name)
        if policy.profile is Profile.STEADY:
            self.streams[name].phase[:] = begin + self.rng.integers(0, policy.band(), len(begin))

    def pass_on(
        self,
        talk: Talk,
        drawn: Mapping[str, NDArray[np.float64]],
        copies: Copies,
        others: Mapping[str, NDArray[np.float64]],
    ) -> _Passed:
        up = self._shape(talk.sender, talk.at, drawn["up"], self.users, "up", None, drawn["luck up"])
        arrived = np.concatenate([up.left, copies.at])
        first = np.concatenate([self.home[talk.sender], self.home[copies.link]])
        at, busy = self._serve(arrived, first, np.concatenate([drawn["rest 1"], others["rest 1"]]))
        between, number = None, len(talk)
        cross_at, cross_size = np.full(number, np.inf), np.zeros(number, np.int32)
        if self.servers > 1:
            pair = self.home[talk.sender] * self.servers + self.home[talk.receiver]
            away = np.flatnonzero(self.home[talk.sender] != self.home[talk.receiver])
            names, luck = pair[away].astype(np.int32), drawn["luck between"][away]
            crossed = self._shape(names, at[away], drawn["down"][away], self.servers**2, "between", busy, luck)
            between = crossed.side
            cross_at[away], cross_size[away] = crossed.left, crossed.size
            at[away], _ = self._serve(crossed.left, self.home[talk.receiver[away]], drawn["rest 2"][away])
        to = np.concatenate([talk.receiver, copies.link])
        size = np.concatenate([drawn["down"], copies.size.astype(np.float64)])
        luck = np.concatenate([drawn["luck down"], others["luck down"]])
        kept = np.flatnonzero((self.online[to, 0] <= at) & (at < self.online[to, 1]))
        down = self._shape(to[kept], at[kept], size[kept], self.users, "down", busy, luck[kept])
        down_at, seen = np.full(len(to), np.inf), np.zeros(len(to), np.int32)
        down_at[kept], seen[kept] = down.left, down.size
        copied = cross_at, cross_size, down_at[number:], seen[number:]
        return _Passed(up.side, down.side, between, up.left, down_at[:number], up.size, seen[:number], *copied)

    def _shape(
        self,
        link: NDArray[np.int32],
        at: NDArray[np.float64],
        size: NDArray[np.float64],
        links: int,
        name: str,
        busy: NDArray[np.float64] | None,
        luck: NDArray[np.float64],
    ) -> Shaped:
        """`busy`: what the thread that writes still has to do at each slot; None for clients: each has its own."""
        order = np.lexsort((at, link))
        order = order[np.isfinite(at[order])]
        policy: Policy = getattr(self.shaping, name)
        writes = Writes(links, link[order], at[order], size[order].astype(np.int64))
        late, each = (None, 0.0) if busy is None else (self.wakes + busy, self.timings.write)
        result = shaped(writes, policy, luck[order], self.streams[name], late, each)
        side = result.side
        if busy is None and policy.profile is Profile.STEADY:
            times = side.times + self.timings.late.draw(self.rng, len(side.times))
            again = np.argsort(times, kind="stable")
            side = Side(side.links, times[again], side.link[again], side.sizes[again])
        left, seen = np.full(len(at), np.inf), np.zeros(len(at), np.int32)
        left[order], seen[order] = result.left, result.size
        return Shaped(side, left, seen)

    def _serve(
        self, arrived: NDArray[np.float64], server: NDArray[np.int32], rest: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When each stanza is put to its next link; seconds of work that the (first) server has left at each slot."""
        service = self.timings.service
        done = np.full(len(arrived), np.inf)
        busy = np.zeros(math.ceil(self.seconds / SLOT) + 1)
        for number in range(self.servers):
            chosen = np.flatnonzero((server == number) & np.isfinite(arrived))
            chosen = chosen[np.argsort(arrived[chosen], kind="stable")]
            steps = np.arange(1, len(chosen) + 1) * service
            finished = steps + np.maximum.accumulate(arrived[chosen] - (steps - service)) if len(chosen) else steps
            done[chosen] = finished + rest[chosen]
            if number == 0 and len(chosen):
                before = np.searchsorted(arrived[chosen], np.arange(len(busy)) * SLOT) - 1
                busy = np.where(before >= 0, np.maximum(0.0, finished[before] - np.arange(len(busy)) * SLOT), 0.0)
        return done, busy


def streams(policy: Policy, rng: np.random.Generator, begin: NDArray[np.float64], end: NDArray[np.float64]) -> Streams:
    """Connections that were there at the start began within the last bulk period, at random."""
    links = len(begin)
    opened = np.round(begin / SLOT).astype(np.int64)
    past = np.where(begin <= 0, rng.integers(0, max(1, policy.slots(policy.bulk_every)), links), 0)
    phase = rng.integers(0, max(1, policy.slots(policy.tick)), links)
    return Streams(opened - past, phase, np.round(end / SLOT).astype(np.int64))
