"""A house with rooms, and what its guests got, said shortly."""

from __future__ import annotations

from typing import Any

from quietwire.core import ns
from quietwire.core.jid import JID, parse_jid
from quietwire.core.xml import Element, escape, parse
from quietwire.server.modules.xep0030_disco import MODULE as DISCO
from quietwire.server.modules.xep0045_muc import MODULE
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.state import Rooms
from quietwire.testing.assembly import Assembly, Client

SERVICE = "conference.a.example"
ROOM = f"den@{SERVICE}"
MUC = "http://jabber.org/protocol/muc"
USER = f"{{{MUC}#user}}"
OPEN = {"membersonly": "0"}
SEMI = {"membersonly": "0", "whois": "moderators"}
SAID = "muc#roomconfig_"


class Den(Assembly):
    """alice, bob, carol and dave have accounts; eve is at b.example. Guests are named by the first letters of their
    accounts: ``al`` is alice's nickname."""

    def __init__(self, **settings: Any) -> None:
        super().__init__((DISCO, MODULE), settings={"muc": settings})
        for name in ("alice", "bob", "carol", "dave"):
            self.add(f"{name}@a.example")
        self.guests: dict[str, Client] = {}

    @property
    def rooms(self) -> Rooms:
        state = self.router.hosted[SERVICE][1].state
        assert isinstance(state, Rooms)
        return state

    @property
    def room(self) -> Room:
        return self.rooms.rooms[parse_jid(ROOM)]

    def guest(self, name: str) -> Client:
        """A session of that account: ``alice`` or ``alice/desk``."""
        found = self.guests.get(name)
        if found is None:
            account, _, resource = name.partition("/")
            found = self.guests[name] = self.log_in(f"{account}@a.example/{resource or 'x'}")
        return found

    def enter(self, name: str, nick: str = "", room: str = ROOM, inside: str = "", more: str = "") -> Client:
        """Enters; what that brings stays."""
        guest = self.guest(name)
        guest.write(f"<presence to='{room}/{nick or name[:2]}'>{more}<x xmlns='{MUC}'>{inside}</x></presence>")
        return guest

    def make(self, **fields: str | list[str]) -> Client:
        """alice has made the room, configured with these fields."""
        alice = self.enter("alice")
        self.configure(alice, **fields)
        self.quiet()
        return alice

    def configure(self, guest: Client, **fields: str | list[str]) -> None:
        guest.write(f"<iq type='set' id='c' to='{ROOM}'><query xmlns='{MUC}#owner'>{form(**fields)}</query></iq>")

    def full(self, *names: str, **fields: str | list[str]) -> tuple[Client, ...]:
        """alice's room with these in it; nothing waits to be read."""
        alice = self.make(**fields)
        guests = [self.enter(name) for name in names]
        self.quiet()
        return (alice, *guests)

    def ask(self, guest: Client, kind: str, payload: str, to: str = ROOM) -> list[str]:
        guest.write(f"<iq type='{kind}' id='q' to='{to}'>{payload}</iq>")
        return said(guest)

    def admin(self, guest: Client, *items: str, kind: str = "set") -> list[str]:
        """``affiliation='member' jid='…'`` or an item with children."""
        inner = "".join(item if item.startswith("<") else f"<item {item}/>" for item in items)
        return self.ask(guest, kind, f"<query xmlns='{MUC}#admin'>{inner}</query>")

    def say(self, guest: Client, text: str, to: str = ROOM, kind: str = "groupchat", more: str = "") -> None:
        guest.write(f"<message type='{kind}' id='m' to='{to}'><body>{escape(text)}</body>{more}</message>")

    def quiet(self) -> None:
        for guest in self.guests.values():
            guest.take()
        self.take_remote()

    def restart(self, **settings: Any) -> Den:
        """Another server over the same storage."""
        other = Den(**settings)
        other.store._store = self.storage
        other.router.spawn(other.archive.open())
        other.router.spawn(other.router.open())
        return other


def form(**fields: str | list[str]) -> str:
    if not fields:
        return "<x xmlns='jabber:x:data' type='submit'/>"
    inner = "".join(
        f"<field var='{var if '#' in var else SAID + var}'>"
        + "".join(f"<value>{escape(value)}</value>" for value in ([values] if isinstance(values, str) else values))
        + "</field>"
        for var, values in fields.items()
    )
    return f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"


def elements(guest: Client) -> list[Element]:
    """What has come to a guest."""
    return [parse(text.encode(), ns.CLIENT) for text in guest.take()]


def said(guest: Client) -> list[str]:
    """The same in short."""
    return [short(element) for element in elements(guest)]


def short(element: Element) -> str:
    kind = element.tag.rpartition("}")[2]
    sender = parse_jid(element.get("from", "x"))
    name = sender.resource or "room"
    if element.get("type") == "error":
        error = element.find(f"{{{ns.CLIENT}}}error")
        assert error is not None
        return f"{kind} error {error[0].tag.rpartition('}')[2]}"
    if kind == "iq":
        return element.get("type", "")
    x = element.find(f"{USER}x")
    if kind == "presence":
        return f"{name} {'gone' if element.get('type') else 'here'}{_extension(x)}"
    body = element.findtext(f"{{{ns.CLIENT}}}body")
    subject = element.findtext(f"{{{ns.CLIENT}}}subject")
    old = " (old)" if element.find(f"{{{ns.DELAY}}}delay") is not None else ""
    if x is not None and len(x):
        return f"{name} tells{_extension(x)}"
    if body is not None:
        return f"{name}: {body}{old}"
    if subject is not None:
        return f"{name} subject {subject!r}{old}"
    return f"{name} {' '.join(child.tag.rpartition('}')[2] for child in element)}"


def _extension(x: Element | None) -> str:
    if x is None:
        return ""
    out = ""
    for item in x.findall(f"{USER}item"):
        out += f" {item.get('affiliation')}"
        out += f"/{item.get('role')}" if item.get("role") else ""
        out += "".join(f" {key}={item.get(key)}" for key in ("jid", "nick") if item.get(key) is not None)
        actor = item.find(f"{USER}actor")
        if actor is not None:
            out += f" by={actor.get('nick')}" + (f"({actor.get('jid')})" if actor.get("jid") else "")
        reason = item.findtext(f"{USER}reason")
        out += f" {reason!r}" if reason else ""
    for name in ("invite", "decline", "destroy"):
        for found in x.findall(f"{USER}{name}"):
            out += f" {name}" + "".join(f" {k}={v}" for k, v in found.attrib.items())
            reason = found.findtext(f"{USER}reason")
            out += f" {reason!r}" if reason else ""
    codes = sorted(status.get("code", "") for status in x.findall(f"{USER}status"))
    return out + "".join(f" {code}" for code in codes)


def jid(text: str) -> JID:
    return parse_jid(text)
