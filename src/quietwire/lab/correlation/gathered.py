"""What our client makes of receipts on a `steady` link (docs/protocols/client-link.md): they wait for the next text to
the same person and go inside of it if they fit, or alone, together, when they have waited long enough."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.talk import MESSAGE, Talk

HOLD = 9.0
"""Seconds that the first waits, or a tick if that is longer (`client.receipts`)."""
MOST = 8
"""That wait for one person."""
EACH = 24
"""Bytes of one more in an envelope that asks for receipts itself."""
ENVELOPE = 295
"""Bytes of such an envelope around a text (`client.sce`, an address of 22 characters)."""
CLASSES = (512, 1024, 2048, 4096, 8192, 16384)
"""Bytes that envelopes are filled up to, less one."""
DEFLATED = 1.0
"""Bytes that one more byte of an envelope takes in a frame (`shaping.frames`): ciphertext goes as it is."""


def classes(characters: NDArray[np.int32]) -> NDArray[np.int64]:
    """Bytes of the class of an envelope with so much text."""
    needed = np.asarray(characters, np.int64) + ENVELOPE + 1
    return np.asarray(CLASSES)[np.minimum(np.searchsorted(CLASSES, needed), len(CLASSES) - 1)]


def larger(characters: NDArray[np.int32]) -> NDArray[np.int64]:
    """Bytes by which the deflated stanza is larger than one of the smallest class."""
    return np.round((classes(characters) - CLASSES[0]) * DEFLATED).astype(np.int64)


def gather(
    talk: Talk, texts: NDArray[np.int64], at: NDArray[np.float64], tick: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of texts (indices into `talk`) that were read at these times: stanzas of receipts alone. -> when each is said,
    and the first text that it is about."""
    answers = talk.receiver[texts].astype(np.int64) * talk.users + talk.sender[texts]
    said = np.flatnonzero(talk.kind == MESSAGE)
    room = classes(talk.size[said]) - 1 - ENVELOPE - talk.size[said]
    pair = np.concatenate([answers, talk.sender[said].astype(np.int64) * talk.users + talk.receiver[said]])
    when = np.concatenate([at, talk.at[said]])
    rooms = np.concatenate([np.full(len(texts), -1, np.int64), room])
    about = np.concatenate([texts, np.full(len(said), -1, np.int64)])
    order = np.lexsort((when, pair))
    bounds = [0, *(np.flatnonzero(np.diff(pair[order])) + 1).tolist(), len(order)]
    hold = max(HOLD, tick)
    found = [
        alone
        for begin, end in pairwise(bounds)
        for alone in _of_pair(when[order[begin:end]], rooms[order[begin:end]], about[order[begin:end]], hold)
    ]
    return np.array([time for time, _ in found], np.float64), np.array([text for _, text in found], np.int64)


def _of_pair(
    when: NDArray[np.float64], rooms: NDArray[np.int64], about: NDArray[np.int64], hold: float
) -> Iterator[tuple[float, int]]:
    """`rooms`: what a text has room for; -1 where something was read."""
    if (rooms >= 0).all():
        return
    since, first, number = 0.0, -1, 0
    for time, room, text in zip(when.tolist(), rooms.tolist(), about.tolist(), strict=True):
        if number and time >= since + hold:
            yield since + hold, first
            number = 0
        if room >= 0:
            if number and EACH * number <= room:
                number = 0
            continue
        if number == MOST:
            yield time, first
            number = 0
        if not number:
            since, first = time, text
        number += 1
    if number:
        yield since + hold, first
