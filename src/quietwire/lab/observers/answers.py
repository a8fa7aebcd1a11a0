"""The findings that follow from a sorted row of sealed messages: when, count, lengths, kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from quietwire.lab.findings import TEXTUAL, Finding
from quietwire.lab.observers.talk import Guess, characters


def of_talk(guesses: Sequence[Guess], source: str, sizes: str) -> list[Finding]:
    """`source` says in words what the row was read from, `sizes` what the lengths were."""
    texts = [guess for guess in guesses if guess.kind in TEXTUAL]
    refs = tuple(guess.event.ref for guess in guesses)
    text_refs = tuple(guess.event.ref for guess in texts)
    sure = sum(guess.confidence for guess in texts) / len(texts) if texts else 0.0
    rule = "texts are what the likeliest story of notices, texts, prompt receipts and markers makes of it"
    timed = [{"time": g.event.time, "from": g.event.sender, "id": g.event.ref} for g in texts]
    measured = [
        {"time": g.event.time, "from": g.event.sender, "length": characters(g.event.level)}
        for g in texts
        if g.event.level >= 0
    ]
    kinds = [{"time": g.event.time, "from": g.event.sender, "kind": g.kind} for g in guesses]
    mean = sum(guess.confidence for guess in guesses) / len(guesses) if guesses else 0.0
    return [
        Finding("when", {"messages": timed}, f"times of {source}; {rule}", sure, text_refs),
        Finding(
            "count",
            {"sent": dict(Counter(g.event.sender for g in texts))},
            f"counted {source}; {rule}",
            sure,
            text_refs,
        ),
        Finding("lengths", {"messages": measured}, f"{sizes}, less what an envelope adds", sure * 0.5, text_refs),
        Finding(
            "kinds",
            {"events": kinds},
            f"sorted {source} by size class and by what follows what: receipts answer at once, typing comes before a "
            "text, markers after one",
            mean,
            refs,
        ),
    ]
