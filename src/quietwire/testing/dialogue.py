"""Dialogues as text that anybody can read (`tests/scenarios/*.play`), and how one is played on a stage.

    # A message for a bare address reaches every device that is not of negative priority (RFC 6121 §8.5.2.1.1).
    phone = alice/phone available
    desk = bob/desk available 5
    phone >> <message to='bob@a.example' type='chat'><body>hi</body></message>
    desk  << <message from='alice@a.example/phone' to='bob@a.example' type='chat'><body>hi</body></message>
    phone << nothing

A line is a step; lines that begin with white space go on with the step before. Steps:
`NAME = ACCOUNT/RESOURCE [available [PRIORITY]] [roster] [carbons]` logs in; `NAME connects` opens a connection with TLS
and says nothing; `NAME connects as ACCOUNT` logs in and binds nothing; `NAME signs in as ACCOUNT [XML]` logs in by
SASL2 and asks for that along with it, the answers are expected as what follows; `NAME >> XML`; `NAME << XML`,
`<< nothing` or `<< closed`; `NAME cut` breaks the connection; `quiet` drops what has come to anybody; `server stops`;
`wait SECONDS` (in memory only, as is a dialogue with the line `only memory`). `{9 x}` is ``xxxxxxxxx``.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quietwire.core import ns
from quietwire.core.xml import Element
from quietwire.testing.canonical import difference, show
from quietwire.testing.playbook import Client, Mark, Playbook, authenticate, closed, nothing

ACCOUNTS = ("alice", "bob", "carol")
"""Exist in every dialogue."""
DOMAIN = "a.example"
HEADER = f"<stream:stream xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' to='{DOMAIN}' version='1.0'>"
_REPEAT = re.compile(r"\{(\d+) ([^}]+)\}")
_NAMED = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_COUNT = re.compile(r"\bh='(\d+)'")
_REQUEST = "{urn:xmpp:sm:3}r"
_ANSWER = "{urn:xmpp:sm:3}a"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`title` says what must be so; a step is its line and its words."""

    name: str
    title: str
    memory_only: bool
    steps: tuple[tuple[int, str], ...]


class Stage(Protocol):
    """Where a dialogue is played. Every method returns when its step is done."""

    def log_in(self, name: str, account: str, resource: str) -> None: ...
    def connect(self, name: str, account: str = "") -> None: ...
    def send(self, name: str, text: str) -> None: ...

    def user(self, account: str) -> str:
        """The name under which that account logs in here."""
        ...

    def receive(self, name: str) -> Element | Mark:
        """The next that comes; `nothing` if nothing does."""
        ...

    def quiet(self, name: str) -> list[Element | Mark]:
        """What has come to that client up to now, when all that was said has had its effect."""
        ...

    def cut(self, name: str) -> None: ...
    def stop(self) -> None: ...
    def wait(self, seconds: float) -> None: ...


def read(path: Path) -> Dialogue:
    title: list[str] = []
    steps: list[tuple[int, str]] = []
    memory_only = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            if not steps:
                title.append(line[1:].strip())
        elif line.strip() == "only memory":
            memory_only = True
        elif line[:1].isspace() and line.strip():
            first, words = steps[-1]
            steps[-1] = first, f"{words}\n{line.strip()}"
        elif line.strip():
            steps.append((number, line.strip()))
    return Dialogue(path.stem, " ".join(title), memory_only, tuple(steps))


def play(dialogue: Dialogue, stage: Stage) -> None:
    """Raises AssertionError with the line where the play and the server part."""
    known: dict[str, str] = {}
    names: list[str] = []
    for number, words in dialogue.steps:
        try:
            _step(words, stage, known, names)
        except AssertionError as error:
            raise AssertionError(f"{dialogue.name}.play, line {number}: {error}\n  {words}") from None


def _step(words: str, stage: Stage, known: MutableMapping[str, str], names: list[str]) -> None:
    match words.split(maxsplit=2):
        case [name, ">>", text]:
            stage.send(name, _fill(text, known))
        case [name, "<<", "nothing"]:
            came = [each for each in stage.quiet(name) if not _is(each, _REQUEST)]
            assert not came, f"not nothing: {show(came[0])}"
        case [name, "<<", text]:
            _expect(name, text, stage, known)
        case [name, "=", text]:
            address, *options = text.split()
            account, _, resource = address.partition("/")
            names.append(name)
            stage.log_in(name, account, resource)
            _options(name, options, stage)
        case [name, "connects", *rest]:
            if name not in names:
                names.append(name)
            stage.connect(name, rest[0].removeprefix("as").strip() if rest else "")
        case [name, "signs", text]:
            account, *along = text.removeprefix("in as").split(maxsplit=1)
            if name not in names:
                names.append(name)
            stage.connect(name)
            stage.send(name, HEADER)
            _expect(name, "<stream:features _='...'/>", stage, known)
            stage.send(name, authenticate(stage.user(account), _fill("".join(along), known)))
        case [name, "cut"]:
            stage.cut(name)
        case ["quiet"]:
            for name in names:
                stage.quiet(name)
        case ["server", "stops"]:
            stage.stop()
        case ["wait", seconds]:
            stage.wait(float(seconds))
        case _:
            raise AssertionError("no such step")


def _fill(text: str, known: MutableMapping[str, str]) -> str:
    text = _REPEAT.sub(lambda found: found[2] * int(found[1]), text)
    return _NAMED.sub(lambda found: known[found[1]], text)


def _options(name: str, options: list[str], stage: Stage) -> None:
    if "roster" in options:
        stage.send(name, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
    if "carbons" in options:
        stage.send(name, "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    if "available" in options:
        after = options[options.index("available") + 1 :]
        priority = f"<priority>{after[0]}</priority>" if after and after[0].lstrip("-").isdecimal() else ""
        stage.send(name, f"<presence>{priority}</presence>")
    if options:
        stage.quiet(name)


def _partly(got: Element | Mark, text: str) -> bool:
    """An acknowledgement may come in parts: what is durable within 50 ms, then the rest."""
    wanted = _COUNT.search(text) if text.startswith("<a ") else None
    return wanted is not None and isinstance(got, Element) and int(got.get("h", "0")) < int(wanted[1])


def _is(got: Element | Mark, tag: str) -> bool:
    return not isinstance(got, Mark) and got.tag == tag


def _expect(name: str, text: str, stage: Stage, known: MutableMapping[str, str]) -> None:
    while True:
        got = stage.receive(name)
        if _is(got, _REQUEST) and "<r " not in text:
            continue  # when the server asks is its own affair
        if text == "closed" or isinstance(got, Mark):
            assert text == "closed", f"got {got}"
            assert got is closed, f"got {show(got)}"
            return
        problem = difference(text, got, known)
        if problem is not None and _is(got, _ANSWER) and _partly(got, text):
            continue
        assert problem is None, f"{problem}\n  got: {show(got)}"
        return


class MemoryStage:
    """The stage without a network or a disk."""

    def __init__(self) -> None:
        self.play = Playbook(DOMAIN, ACCOUNTS)
        self.clients: dict[str, Client] = {}

    def log_in(self, name: str, account: str, resource: str) -> None:
        self.clients[name] = self.play.client(f"{account}/{resource}")

    def connect(self, name: str, account: str = "") -> None:
        self.clients[name] = client = self.play.connect()
        if account:
            client.authenticate(account)

    def send(self, name: str, text: str) -> None:
        self.clients[name] >> text

    def user(self, account: str) -> str:
        return account

    def receive(self, name: str) -> Element | Mark:
        self.play.settle()
        inbox = self.clients[name].inbox
        return inbox.popleft() if inbox else nothing

    def quiet(self, name: str) -> list[Element | Mark]:
        return self.clients[name].take()

    def cut(self, name: str) -> None:
        self.clients[name].cut()

    def stop(self) -> None:
        self.play.stop()

    def wait(self, seconds: float) -> None:
        self.play.pass_time(seconds)
