"""What a stolen verifier costs its owner: guesses a second on one core, and what that makes of a password.

    .venv/bin/python tests/bench/guesses.py [--iterations 100000] [--seconds 5] [--json FILE]

A guess is one PBKDF2 (RFC 5802 §3: SaltedPassword) and two hashes more, by the library that the server uses. A thief
takes whichever mechanism is the cheaper one: each account has a verifier and a wrap for both. The figures of graphics
cards are not measured here but taken from others, see GPU_ITERATIONS.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from quietwire.core.sasl import HASHES, derive

GPU_ITERATIONS = {"SCRAM-SHA-1": 2.0e10, "SCRAM-SHA-256": 9.0e9}
"""Iterations of PBKDF2 a second on one RTX 4090: from https://tobtu.com/minimum-password-settings/ (December 2022),
where 1,300,000 and 600,000 iterations come to 10,000 guesses a second on two thirds of such a card."""
GPUS = 1_000
BITS = (20, 30, 40, 50, 77, 80)
SALT = bytes(range(16))
YEAR = 365.25 * 86_400
STEPS = ((1.0, "second"), (60.0, "minute"), (3_600.0, "hour"), (86_400.0, "day"), (YEAR, "year"))
SCALES = ((1e9, "billion"), (1e6, "million"), (1e3, "thousand"))


def measured(mechanism: str, iterations: int, seconds: float, clock: Callable[[], float] = time.process_time) -> float:
    """Guesses a second of one core. `clock`: seconds of this process' work, so that others do not count."""
    count, start = 0, clock()
    while (spent := clock() - start) < seconds:
        derive(f"guess-{count}", SALT, iterations, mechanism)
        count += 1
    return count / spent


def half(bits: int, rate: float) -> float:
    """Seconds until a password of that many random bits is found with a probability of a half."""
    return 2.0 ** (bits - 1) / rate


def told(seconds: float) -> str:
    """For people: one or two figures."""
    size, unit = next(((s, u) for s, u in reversed(STEPS) if seconds >= s), STEPS[0])
    number = seconds / size
    if number < 1:
        return "under a second"
    for scale, word in SCALES if unit == "year" else ():
        if number >= scale:
            number /= scale
            if number >= 1e4:
                return f"{number:.0e} {word} years".replace("e+0", "e").replace("e+", "e")
            return f"{number:,.0f} {word} years"
    rounded = f"{number:,.0f}"
    return f"{rounded} {unit}{'' if rounded == '1' else 's'}"


def table(rates: Mapping[str, float], iterations: int, bits: Sequence[int] = BITS) -> str:
    """Markdown. `rates`: mechanism -> guesses a second of one core."""
    cards = {mechanism: GPUS * GPU_ITERATIONS[mechanism] / iterations for mechanism in rates}
    lines = ["| | " + " | ".join(rates) + " |", "|---|" + "---|" * len(rates)]
    lines.append("| one core, guesses/s | " + " | ".join(f"{rate:,.1f}" for rate in rates.values()) + " |")
    lines.append(f"| {GPUS:,} cards, guesses/s | " + " | ".join(f"{rate:,.0f}" for rate in cards.values()) + " |")
    core, worst = max(rates.values()), max(cards.values())
    lines += ["", f"| Bits | One core | {GPUS:,} cards |", "|---|---|---|"]
    lines += [f"| {each} | {told(half(each, core))} | {told(half(each, worst))} |" for each in bits]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each mechanism is measured")
    parser.add_argument("--json", type=Path, help="write the rates there as well")
    chosen = parser.parse_args(arguments)
    rates = {mechanism: measured(mechanism, chosen.iterations, chosen.seconds) for mechanism in sorted(HASHES)}
    print(table(rates, chosen.iterations))
    if chosen.json:
        chosen.json.write_text(json.dumps({"iterations": chosen.iterations, "guesses_per_second": rates}, indent=2))


if __name__ == "__main__":
    main()
