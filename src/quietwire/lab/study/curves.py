"""Curves as SVG, drawn by matplotlib; the same figures give the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib

from quietwire.lab.study.matrix import AREAS, SHARES, Curve

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#000000")
"""Told apart by those who are colour-blind too (Paul Tol's "bright" scheme)."""
MARKS = ("o", "s", "^", "v", "D", "P", "X", "*")
BESIDE = 8
"""Lines whose names fit beside a picture."""


def svg(title: str, over: str, lines: Sequence[Curve]) -> str:
    """One picture: a line for each system with its interval, and what a blind guess gets; or a point for each."""
    settings: Any = {"svg.hashsalt": "quietwire", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
    with matplotlib.rc_context(settings):
        rows = math.ceil(len(lines) / 2) if len(lines) > BESIDE else 0
        figure, axes = plt.subplots(figsize=(8.0, 3.6 + rows * 0.2), layout="constrained")
        try:
            for place, line in enumerate(lines):
                at = [point.at or 0.0 for point in line.points]
                values = [point.value for point in line.points]
                name = ("~" if line.points[0].simulated else "") + line.system
                colour, mark = COLOURS[place % len(COLOURS)], MARKS[(place + place // len(COLOURS)) % len(MARKS)]
                axes.plot(at, values, mark, ls="-", color=colour, ms=4, label=name)
                low, high = [point.low for point in line.points], [point.high for point in line.points]
                if len(at) > 1:
                    axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
                else:
                    axes.vlines(at, low, high, color=colour, lw=1)
            widest = max(lines, key=lambda line: len(line.points)).points
            at, blind = [point.at or 0.0 for point in widest], [point.chance for point in widest]
            if len(at) > 1:
                axes.plot(at, blind, color="#777777", ls=":", lw=1, label="a blind guess")
            places = [point.at or 0.0 for line in lines for point in line.points]
            if min(places) > 0 and max(places) / min(places) >= 20:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            unit = lines[0].points[0].unit
            if unit in (*SHARES, *AREAS):
                axes.set_ylim(-0.02, 1.02)
            axes.set_xlabel(over)
            axes.set_ylabel(unit)
            axes.set_title(title, fontsize=10, loc="left")
            axes.grid(alpha=0.25)
            if rows:  # below, since so many, some with long names, leave no room beside them
                figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=2)
            else:
                axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
            out = io.StringIO()
            figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        finally:
            plt.close(figure)
    text = out.getvalue()
    return text[text.index("<svg") :]
