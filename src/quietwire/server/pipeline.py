"""The fixed stages that a message passes (`module.Stage`), as one flat tuple of bound hooks."""

from __future__ import annotations

from quietwire.core.jid import JID
from quietwire.core.stanza import Message
from quietwire.server.account import Account, Session
from quietwire.store.ports import Entry


class Passage:
    """One message on its way through the server.

    `session` is the local sender or None; `account` the local recipient if in memory; `known` whether a local
    recipient exists. Hooks fill in `entry` (the spool's receipt) and `targets` (sessions that got it).
    """

    __slots__ = ("account", "data", "dropped", "entry", "known", "local", "message", "session", "targets", "to")

    def __init__(self, message: Message, session: Session | None, to: JID) -> None:
        self.message = message
        self.session = session
        self.to = to
        self.local = False
        self.known = False
        self.account: Account | None = None
        self.entry: Entry | None = None
        self.targets: list[Session] = []
        self.data: bytes | None = None
        self.dropped = False

    def drop(self) -> None:
        """Ends the passage in silence."""
        self.dropped = True

    def bytes(self) -> bytes:
        """The message as it goes to every local recipient; built once."""
        if self.data is None:
            self.data = self.message.to_bytes()
        return self.data
