"""The report says the same in HTML and in Markdown."""

from __future__ import annotations

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
        figure("what happened", "quietwire-off", 0.8, note="best features: size & time"),
        figure("what happened", "prosody", 0.9),
        *(figure("who", "prosody", 0.1 * at, over="messages observed", at=float(at)) for at in (1, 5)),
    ],
    {"people": "24"},
    ["what happened, quietwire-off: too much"],
    ["how long: not measured"],
    ["being online at all"],
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
        "Links <here>", "quietwire lab study --small", "80 %", "(80 % to 80 %; blind 10 %)", "too much", "not measured",
        "being online at all", "size & time", "people: 24", "watches one user's network",
    ):  # fmt: skip
        assert wanted in text


def test_everything_is_in_the_markdown() -> None:
    text = markdown(STUDY)
    assert "| Asked | quietwire-off | prosody |" in text
    assert "| what happened | 80 % (80 % to 80 %; blind 10 %) | 90 % (90 % to 90 %; blind 10 %) |" in text
    assert "| who, messages observed 5 | – | 50 % (50 % to 50 %; blind 10 %) |" in text
    assert "| messages observed | prosody |\n|---|---|\n| 1 | 10 % (10 % to 10 %; blind 10 %) |" in text
    assert "- BROKEN: what happened, quietwire-off: too much" in text
    assert "- what happened, quietwire-off: best features: size & time" in text


def test_where_all_is_well_it_is_said() -> None:
    assert "- None of the stated bounds is broken." in markdown(Study("t", "c", [figure("q", "prosody", 0.5)]))
