"""Joins an observer's answers with the truth: how much of it was learned, as a number and as a sentence.

`learned` is 0 where the observer does no better than somebody who saw nothing (or guessed the commonest answer) and 1
where it knows all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from quietwire.lab.findings import TEXTUAL, Finding, Question
from quietwire.lab.truth import Event, Facts

MATCH = 0.5
"""Seconds within which an observed event can be one that happened."""


@dataclass(frozen=True, slots=True)
class Score:
    learned: float
    seen: str
    """What was learned, in words."""
    truth: str
    """What there was to learn."""


@dataclass(frozen=True, slots=True)
class Known:
    """The truth of a world: what was sent, and the facts."""

    sent: tuple[Event, ...]
    facts: Facts

    @property
    def texts(self) -> list[Event]:
        return [event for event in self.sent if event.kind in TEXTUAL]

    def account(self, name: str) -> str:
        """Whom a name in an answer means: an account, or "" if it cannot be told."""
        if name in self.facts.devices:
            return name
        here = [account for account in self.facts.devices if account.endswith("@" + name)]
        return self.facts.account_at(name) or (here[0] if here else "")


def score(finding: Finding, known: Known, watched: str) -> Score:
    """`watched` is the account that the observer is asked about."""
    return _SCORES[finding.question](finding.answer, known, watched)


def _who(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    peers = set(known.facts.contacts[watched])
    truth = f"{watched} with {', '.join(sorted(peers))}"
    best, words = 0.0, "nobody named"
    for pair in answer["pairs"]:
        accounts = {known.account(name) for name in pair}
        if watched not in accounts or not accounts & peers:
            continue
        named = sum(1 for name in pair if "@" in name)
        if max(named, 1) / 2 > best:
            best, words = (1.0, " with ".join(pair)) if named == 2 else (0.5, f"{pair[0]} with somebody at {pair[1]}")
    return Score(best, words, truth)


Pair = tuple[Mapping[str, Any], Event]


def match(observed: Sequence[Mapping[str, Any]], events: Sequence[Event], known: Known) -> list[Pair]:
    """Observed and true events one to one: of one sender, in order, the observation at or after the event.

    An observer that cannot name a sender means whoever it did not name.
    """
    accounts = list(known.facts.devices)
    named = {known.account(one["from"]) for one in observed}
    others = [account for account in accounts if account not in named] or accounts
    pairs: list[Pair] = []
    for account in accounts:
        left = [one for one in observed if (known.account(one["from"]) or others[0]) == account]
        pairs += _align(left, [event for event in events if event.account == account])
    return pairs


EARLY = 0.01
"""Seconds that an observation may be before its event: two processes read the clock."""


def _align(observed: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> list[Pair]:
    """The pairing in order that explains most: each pair counts 1, less what it is apart."""
    rows, columns = len(observed), len(events)
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for n in range(rows - 1, -1, -1):
        for m in range(columns - 1, -1, -1):
            best[n][m] = max(best[n + 1][m], best[n][m + 1], _worth(observed[n], events[m]) + best[n + 1][m + 1])
    pairs = []
    n = m = 0
    while n < rows and m < columns:
        worth = _worth(observed[n], events[m])
        if worth > 0 and best[n][m] == worth + best[n + 1][m + 1]:
            pairs.append((observed[n], events[m]))
            n, m = n + 1, m + 1
        elif best[n][m] == best[n + 1][m]:
            n += 1
        else:
            m += 1
    return pairs


def _worth(one: Mapping[str, Any], event: Event) -> float:
    gap = one["time"] - event.time
    return 1.0 - abs(gap) / MATCH / 2 if -EARLY <= gap <= MATCH else -1.0


def _when(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    observed, texts = answer["messages"], known.texts
    pairs = match(observed, texts, known)
    truth = f"{len(texts)} texts"
    if not pairs:
        return Score(0.0, "no time of any text", truth)
    errors = [abs(one["time"] - event.time) * 1000 for one, event in pairs]
    false = len(observed) - len(pairs)
    right = 2 * len(pairs) / (len(observed) + len(texts))
    wrong = f", {false} false" if false else ""
    return Score(right, f"{len(pairs)} of {len(texts)} texts found{wrong}, times ±{median(errors):.0f} ms", truth)


def _count(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    there = Counter(event.account for event in known.texts)
    truth = ", ".join(f"{account.partition('@')[0]} {n}" for account, n in sorted(there.items()))
    if not answer["sent"]:
        return Score(0.0, "nothing to count", truth)
    counted: Counter[str] = Counter()
    for name, n in answer["sent"].items():
        others = [account for account in there if account != watched]
        counted[known.account(name) or (others[0] if others else "")] += n
    wrong = sum(abs(counted[account] - n) for account, n in there.items())
    total = sum(there.values())
    words = ", ".join(f"{account.partition('@')[0]} {counted[account]}" for account in sorted(there))
    return Score(max(0.0, 1 - wrong / total), f"{sum(counted.values())} counted, {total} there: {words}", truth)


def _lengths(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    texts = known.texts
    lengths = [event.length for event in texts]
    truth = f"{min(lengths)} to {max(lengths)} characters" if lengths else "no texts"
    pairs = match(answer["messages"], texts, known)
    if not pairs:
        return Score(0.0, "no length", truth)
    error = mean(abs(one["length"] - event.length) for one, event in pairs)
    middle = median(lengths)
    blind = mean(abs(middle - event.length) for _, event in pairs)
    learned = max(0.0, 1 - error / blind) if blind else 0.0
    words = f"{len(pairs)} of {len(texts)} to ±{error:.0f} characters; a blind guess is off by {blind:.0f}"
    return Score(learned * len(pairs) / len(texts), words, truth)


def _kinds(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    counts = Counter(event.kind for event in known.sent)
    total = sum(counts.values())
    truth = ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
    if not answer["events"]:
        return Score(0.0, "no event told apart", truth)
    pairs = match(answer["events"], known.sent, known)
    right = sum(1 for one, event in pairs if one["kind"] == event.kind)
    commonest, blind = counts.most_common(1)[0]
    words = f"{right} of {total} events named right; always saying “{commonest}” gets {blind}"
    return Score(max(0.0, (right - blind) / (total - blind)) if total > blind else 0.0, words, truth)


def _contacts(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    there = set(known.facts.contacts[watched])
    found: set[str] = set()
    for owner, names in answer["contacts"].items():
        if known.account(owner) == watched:
            found |= set(names)
    named = there & found
    servers = {contact for contact in there - named if contact.partition("@")[2] in found}
    truth = f"{len(there)} contact" + ("s" if len(there) != 1 else "")
    if named:
        words = f"{len(named)} of {len(there)}: {', '.join(sorted(named))}"
    elif servers:
        words = "none by name, only the server of " + str(len(servers))
    else:
        words = "none"
    return Score((len(named) + 0.5 * len(servers)) / len(there), words, truth)


def _devices(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    there = known.facts.devices[watched]
    ids = set(known.facts.omemo.get(watched, {}).values()) | set(there.values())
    found = {n for owner, names in answer["devices"].items() if known.account(owner) == watched for n in names} & ids
    learned = min(len(found), len(there))
    words = f"{learned} of {len(there)}" + (f": {', '.join(sorted(found))}" if found else "")
    return Score(learned / len(there), words, f"{len(there)} devices")


def _text(answer: Mapping[str, Any], known: Known, watched: str) -> Score:
    total = len(known.texts)
    readable = min(len(answer["texts"]), total)
    words = f"{readable} of {total} texts readable" if readable else "no text readable"
    return Score(readable / total if total else 0.0, words, f"{total} texts")


_SCORES: dict[Question, Callable[[Mapping[str, Any], Known, str], Score]] = {
    "who": _who,
    "when": _when,
    "count": _count,
    "lengths": _lengths,
    "kinds": _kinds,
    "contacts": _contacts,
    "devices": _devices,
    "text": _text,
}
