"""The fixed stages that a message passes (`module.Stage`), as one flat tuple of bound hooks."""

from __future__ import annotations

from typing import Any

from quietwire.core.jid import JID
from quietwire.core.stanza import Message, appended
from quietwire.server.account import Account, Session
from quietwire.store.ports import Entry

Bytes = bytes
"""The type, where the method hides its name."""


class Passage:
    """One message on its way through the server.

    `session` is the local sender or None; `account` the local recipient if in memory; `known` whether a local
    recipient exists. Hooks fill in `entry` (the spool's receipt) and `targets` (sessions that got it), and at STAMP
    what is added for one side only: `added` for the recipient's devices, `own` for the sender's.
    """

    __slots__ = (
        "_plain", "account", "added", "data", "dropped", "entry", "kept", "known", "local", "message", "own", "session",
        "targets", "to",
    )  # fmt: skip

    def __init__(self, message: Message, session: Session | None, to: JID) -> None:
        self.message = message
        self.session = session
        self.to = to
        self.local = self.known = self.dropped = False
        self.account: Account | None = None
        self.entry: Entry | None = None
        self.targets: list[Session] = []
        self.data: bytes | None = None
        self._plain: bytes | None = None
        self.kept: Any = None
        """The archive's note to itself, from STAMP to RECORD."""
        self.added = self.own = b""
        """Children as bytes, of the stream's content namespace."""

    def drop(self) -> None:
        """Ends the passage in silence."""
        self.dropped = True

    def bytes(self) -> bytes:
        """The message as it goes to every local recipient; built once."""
        data = self.data
        if data is None:
            data = self.message.to_bytes() if self._plain is None else self._plain
            self._plain = data
            self.data = data = appended(data, self.added) if self.added else data
        return data

    def plain(self) -> Bytes:
        """The message without what is added for one side; built once."""
        if self._plain is None:
            self._plain = self.message.to_bytes()
        return self._plain

    def sent(self) -> Bytes:
        """The message as the sender's other devices see it."""
        if self.own == self.added:
            return self.bytes()
        data = self.plain()
        return appended(data, self.own) if self.own else data
