"""A whole server with people of every kind around one account, alice's, and what can be seen of a change: all that is
stored, and all that anybody is sent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from quietwire.core import ns
from quietwire.core.jid import JID, parse_jid
from quietwire.core.stanza import Stanza
from quietwire.core.xml import Element, serialise
from quietwire.server.roster import Contact, encode
from quietwire.store.ports import TABLES
from quietwire.testing.assembly import stanza
from quietwire.testing.playbook import Client, Mark, Playbook
from quietwire.testing.web import FakeFiles

OWNER, ADMIN, CONTACT, USER = "owner", "admin", "contact", "user"
FRIEND, OUTSIDER = "foreign contact", "outsider"
LOCAL: Final = {OWNER: "alice/pad", ADMIN: "root/x", CONTACT: "bob/x", USER: "carol/x"}
"""The kinds of people here, and with what they ask. alice is at home with another device as well."""
REMOTE: Final = {FRIEND: "frank@b.example/x", OUTSIDER: "eve@b.example/x"}
EVERYBODY: Final = (*LOCAL, *REMOTE)
USERS: Final = frozenset(LOCAL)
ALL: Final = frozenset(EVERYBODY)
ACCOUNTS: Final = ("alice", "bob", "carol", "root", "closed", "asleep", "blocker", "gone", "recent")
ONESELF: Final = frozenset((OWNER,))
SEEING: Final = frozenset((OWNER, CONTACT, FRIEND))
NOBODY: Final[frozenset[str]] = frozenset()
TABLES_OF_MODULES: Final[dict[str, dict[str, Any]]] = {
    "blocking": {"strangers": False},
    "muc": {"rate": 0},
    "external-services": {"services": "turn:relay.a.example", "secret": "s"},
}


class Estate(Playbook):
    """alice's contacts are bob and frank@b.example; carol and root, the administrator, are not; eve@b.example is
    nobody. ``closed`` has an account, is at home, and takes nothing from strangers; ``nobody`` has none."""

    def __init__(self, **tables: Any) -> None:
        self._numbers = count(1)
        super().__init__(
            "a.example",
            list(ACCOUNTS),
            tables={**TABLES_OF_MODULES, **tables},
            admins=frozenset((parse_jid("root@a.example"),)),
        )
        self.reads: list[str] = []
        """Tables that were read, one by one."""
        for read in ("get", "get_many", "scan"):
            setattr(self.storage, read, self._counted(getattr(self.storage, read)))
        self.sent: list[Stanza] = []
        self.server.router.remote = self.sent.append
        self.server.uploads.files = FakeFiles()
        for who, contacts in (("alice", ("bob@a.example", "frank@b.example")), ("bob", ("alice@a.example",))):
            self._befriend(who, contacts)
        self.people: dict[str, Client] = {}
        for kind, address in LOCAL.items():
            self.people[kind] = self.client(address, "<presence/>")
        self.phone = self.client("alice/phone", "<presence/>")
        self.shut = self.client("closed/x", "<presence/>")
        self.calm()

    def _counted(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def counted(table: str, *rest: Any, **more: Any) -> Any:
            self.reads.append(table)
            return read(table, *rest, **more)

        return counted

    def _befriend(self, who: str, contacts: tuple[str, ...]) -> None:
        """Before any session: written while a login keeps the account unlocked."""
        owner, login = f"{who}@a.example".encode(), self.connect().authenticate(who)
        self.run(self.server.store.unlock(owner))
        for contact in contacts:
            self.server.store.put("roster", owner, *encode(Contact(parse_jid(contact), subscription="both")))
        login.cut()
        assert self.server.keyring.get(owner) is None

    def calm(self) -> None:
        self.quiet()
        self.sent.clear()

    def asks(self, kind: str, text: str) -> list[str]:
        """What that one is sent after writing a stanza."""
        if kind in LOCAL:
            client = self.people[kind]
            client >> text
            return [shown(each) for each in client.take()]
        sender = parse_jid(REMOTE[kind])
        self.server.from_remote(stanza(text, from_=sender))
        self.settle()
        mine = [each for each in self.sent if each.to == sender]
        self.sent[:] = [each for each in self.sent if each.to != sender]
        return [each.to_bytes().decode() for each in mine]

    def heard(self) -> list[str]:
        """What anybody was sent since the last call."""
        self.settle()
        told = [shown(each) for client in self.clients for each in client.take()]
        told += [each.to_bytes().decode() for each in self.sent]
        self.sent.clear()
        return told

    def stored(self) -> dict[str, Any]:
        """Everything that a restart would find, and who may log in. Sealed, so that a row that was written again is
        another one."""
        self.settle()
        store, spool = self.storage.store, self.storage.spool
        found: dict[str, Any] = {
            table: {owner: dict(store.scan(table, owner).result()) for owner in store.owners(table).result()}
            for table in TABLES
        }
        for name in ACCOUNTS:
            owner = self.server.seals.owner("spool", f"{name}@a.example".encode())
            found[f"spool {name}"] = sorted(entry.key for entry in spool.load(owner).result())
        return copy.deepcopy(found)

    def address(self, kind: str) -> JID:
        name = REMOTE.get(kind) or LOCAL[kind].replace("/", "@a.example/")
        return parse_jid(name)


def shown(each: Element | Mark) -> str:
    return repr(each) if isinstance(each, Mark) else serialise(each, ns.CLIENT).decode()


def condition(answer: str) -> str:
    """Of an error; the type of another answer."""
    if "type='error'" not in answer.partition(">")[0]:
        return "result" if "type='result'" in answer.partition(">")[0] else answer
    return answer.partition("<error")[2].partition(">")[2][1:].partition(" ")[0]
