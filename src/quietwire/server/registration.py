"""Making an account for somebody who asks, on a stream (XEP-0077) or in the browser, with an invitation or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError
from quietwire.server.admin import AccountExists, Admin, AdminError
from quietwire.server.contacts import Contacts
from quietwire.server.invitations import Invitation, Invitations
from quietwire.server.module import Services
from quietwire.server.sealed.arriving import BEFRIEND, Arrivals
from quietwire.store.ports import Store

MIN_PASSWORD: Final = 8
"""Characters. Shorter ones are guessed from a stolen verifier in days; a client can make a long one."""

MAX_PASSWORD: Final = 1_024
"""Characters, as SASLprep and PBKDF2 must work on all of them."""


OFFICIAL: Final = frozenset(
    (
        "abuse", "admin", "administrator", "hostmaster", "info", "moderator", "news", "noc", "postmaster", "quietwire",
        "root", "security", "server", "service", "support", "system", "webmaster", "xmpp",
    )
)  # fmt: skip
"""Names that people take for the operator's (RFC 2142, and what else is usual)."""


@dataclass(frozen=True, slots=True)
class Registrar:
    """Made where it is needed; holds nothing of its own."""

    domain: JID
    services: Services
    store: Store
    admin: Admin
    invitations: Invitations
    arrivals: Arrivals

    async def register(self, name: str, password: str, token: str = "", recovery_code: str = "") -> JID:
        """Makes the account; with a token uses the invitation up. The caller has looked whether anybody may register
        without one. `recovery_code`: to be shown once it is made; never on a stream, which others may keep.

        Raises StanzaError: jid-malformed (the name), not-acceptable (the password, or not the invited name), conflict
        (taken or promised), not-allowed (the invitation is used or unknown)."""
        local = self._local(name)
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise StanzaError("not-acceptable", f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        if not token:
            return await self._make(local, password, None)
        invitation = self.invitations.take(token, late=True)
        if invitation is None or not invitation.register:
            if invitation is not None:
                self.invitations.release(token)
            raise StanzaError("not-allowed", "the invitation was used or has ended")
        try:
            jid = await self._make(local, password, invitation, recovery_code)
        except BaseException:
            self.invitations.release(token)
            raise
        self.invitations.done(token)
        return jid

    def _local(self, name: str) -> str:
        try:
            jid = JID.of(name, self.domain.domain)
        except JIDError:
            jid = self.domain
        if not jid.local:
            raise StanzaError("jid-malformed", "not a name that an account can have")
        return jid.local

    def _kept_back(self, local: str) -> bool:
        """Only who is invited to this very name may have it: it is promised, has an administrator's rights, or would be
        taken for the server's own voice."""
        jid = JID.of(local, self.domain.domain)
        return local in OFFICIAL or self.services.is_admin(jid) or self.invitations.reserved(local)

    async def _make(self, local: str, password: str, invitation: Invitation | None, recovery_code: str = "") -> JID:
        if invitation is not None and invitation.name:
            if local != invitation.name:
                raise StanzaError("not-acceptable", "the invitation is for another name")
        elif self._kept_back(local):
            raise StanzaError("conflict")
        try:
            jid = await self.admin.add(local, password, recovery_code=recovery_code)
        except AccountExists:
            raise StanzaError("conflict") from None
        except AdminError as error:
            raise StanzaError("not-acceptable", "the password cannot be used") from error
        if invitation is not None and invitation.contact:
            self._introduce(jid, invitation.inviter)
        return jid

    def _introduce(self, guest: JID, inviter: JID) -> None:
        """Each is the other's contact from the start (XEP-0401 §5)."""
        contacts = Contacts(self.services, self.store, self.domain.domain)
        if not (inviter.local and self.services.exists(inviter) and self.services.exists(guest)):
            return
        for one, other in ((inviter, guest), (guest, inviter)):
            account = self.services.account(one)
            if account is None:
                self.arrivals.keep(one, BEFRIEND, other, other.text.encode())
                continue
            try:
                contacts.befriend(account, other)
            except StanzaError:
                return  # a full roster: they can still ask each other
