"""The report says the same in HTML and in Markdown."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from quietwire.lab.figures import Figure
from quietwire.lab.study.page import Study, markdown, page


def figure(question: str, system: str, value: float, **more: object) -> Figure:
    return Figure(
        "client-network", question, system, value, value, value, 0.1, 0.1, "share", False, **more  # type: ignore[arg-type]
    )  # fmt: skip


STUDY = Study(
    "Links <here>",
    "quietwire lab study --small",
    [
        figure(
            "what happened",
            "quietwire-off",
            0.8,
            note="best features: size & time; model: trees",
            detail={"recall ping up": 0.9, "precision ping up": 0.4, "KB a second": 1.5, "p95": 0.1},
        ),
        figure("what happened", "prosody", 0.9),
        figure("what happened", "prosody with delay", 0.7, detail={"more bytes": 0.1, "p50 each hop": 0.2}),
        *(figure("who", "prosody", 0.1 * at, over="messages observed", at=float(at)) for at in (1, 5)),
    ],
    {"people": "24"},
    ["what happened, quietwire-off: too much"],
    ["how long: not measured"],
    ["being online at all"],
    {"linking steady": "no time was left"},
)


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_everything_is_in_the_page_and_tags_are_closed() -> None:
    reader = Text()
    reader.feed(page(STUDY, {("client-network", "who", "messages observed"): "<svg></svg>"}))
    assert reader.open == []
    text = " ".join(reader.text)
    for wanted in (
        "Links <here>", "quietwire lab study --small", "80 %", "80 % to 80 %", "blind 10 %", "too much", "not measured",
        "being online at all", "size & time", "people: 24", "watches one user's network", "90% (40%)", "1.50",
        "0.1 s", "linking steady: no time was left", "links of prosody, changed afterwards", "+10%", "0.20 s",
    ):  # fmt: skip
        assert wanted in text
    assert '<td class="simulated"' not in page(STUDY, {})
    guess = [figure("who", "prosody", 0.5)]
    assert '<td class="simulated"' in page(Study("t", "c", [replace(guess[0], simulated=True)]), {})


def test_everything_is_in_the_markdown() -> None:
    text = markdown(STUDY)
    for wanted in (
        "| Asked | quietwire-off | prosody |",
        "| what happened | 80 % (80 % to 80 %; blind 10 %) | 90 % (90 % to 90 %; blind 10 %) |",
        "| who, messages observed 5 | – | 50 % (50 % to 50 %; blind 10 %) |",
        "| messages observed | prosody |\n|---|---|\n| 1 | 10 % (10 % to 10 %; blind 10 %) |",
        "**Bound broken: what happened, quietwire-off: too much**",
        "| what happened | quietwire-off | size & time | model: trees |",
        "| as it is | 90 % (90 % to 90 %; blind 10 %) | – | – | – |",
        "| delay | 70 % (70 % to 70 %; blind 10 %) | +10% | 0.20 s | – |",
        "| ping up | 90% (40%) | – |",
        "| quietwire-off | 1.50 | 0.1 s |",
        "- linking steady: no time was left",
    ):
        assert wanted in text


def test_where_all_is_well_it_is_said() -> None:
    assert "None of the stated bounds is broken." in markdown(Study("t", "c", [figure("q", "prosody", 0.5)]))
    left = Study("t", "c", [figure("q", "prosody", 0.5)], missing=["how long"])
    assert "No bound that was looked after is broken." in markdown(left)
