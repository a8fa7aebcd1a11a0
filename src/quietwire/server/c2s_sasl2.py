"""SASL2 (XEP-0388 1.0.4) on a client's stream, and what a client asks for along with its login: to resume a session
(XEP-0198 §9), to bind a resource (`bind2.py`), to get or use a token (XEP-0484, `tokens.py`).

TLS 1.3 early data is never taken: `ssl` has no way to accept any, so nothing here can be replayed with it.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.jid import JID, JIDError
from quietwire.core.sasl import SaslFailure, decode_payload, encode_payload, parse_ht
from quietwire.core.stanza import Child
from quietwire.core.wipe import wipe
from quietwire.core.xml import Element, escape
from quietwire.server import bind2, c2s_sm
from quietwire.server.account import Client
from quietwire.server.bound import Bound
from quietwire.server.c2s_host import Carrier, Host
from quietwire.server.c2s_sasl import Login, content
from quietwire.server.features import SASL2 as NS
from quietwire.server.features import after_login
from quietwire.server.login import Accepted
from quietwire.server.tokens import NS as FAST
from quietwire.server.tokens import Token

SASL2: Final = f"{{{NS}}}"
LABEL_CHARACTERS: Final = 128
"""Of a software's or a device's name: for people to recognise it by."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_INITIAL = re.compile(rb"<initial-response>([A-Za-z0-9+/=\s]*)</initial-response>")
_NAME = b"initial-response>"
_TRUE = ("true", "1")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client asked for with ``<authenticate/>``."""

    agent: str = field(default="", repr=False)
    """The id of its ``<user-agent/>``."""
    software: str = field(default="", repr=False)
    device: str = field(default="", repr=False)
    resume: Element | None = None
    bind: Element | None = None
    token: str = ""
    """The mechanism for which it wants a token."""
    fast: Element | None = None


def read(child: Child, offered: tuple[str, ...]) -> Wishes:
    """`offered`: mechanisms of tokens. Raises SaslFailure ``malformed-request``."""
    tree = child.tree
    agent = tree.find(f"{SASL2}user-agent")
    wanted = tree.find(f"{{{FAST}}}request-token")
    given = agent.get("id", "") if agent is not None else ""
    if given and not _UUID.fullmatch(given):
        raise SaslFailure("malformed-request")
    token = wanted.get("mechanism", "") if wanted is not None else ""
    return Wishes(
        given.lower(),
        _label(agent, "software"),
        _label(agent, "device"),
        tree.find(f"{{{ns.SM}}}resume"),
        tree.find(f"{{{bind2.NS}}}bind"),
        token if token in offered and given else "",
        tree.find(f"{{{FAST}}}fast"),
    )


class Login2(Login):
    """The attempts in this form. The stream goes on after success, with a session where one was asked for."""

    __slots__ = ("_by_token", "_claimed", "_token", "_wishes")
    NS = NS

    def __init__(self, host: Host, stream: Carrier) -> None:
        super().__init__(host, stream)
        self._wishes = Wishes()
        self._claimed = ""
        self._by_token = False
        self._token: Token | None = None
        """To be told with success."""

    def claim(self, from_: str) -> None:
        """`from` of the stream header. Raises StreamError."""
        try:
            foreign = bool(from_) and JID.parse(from_).domain != self._host.settings.domain.domain
        except JIDError:
            from_, foreign = "", False  # not believed anyway
        if foreign:
            raise StreamError("invalid-from")
        self._claimed = from_

    def hear(self, child: Child) -> None:
        """Raises StreamError: while an exchange is under way nothing else may come (XEP-0388 §2.4)."""
        exchange = self._exchange
        try:
            if exchange is not None:
                if child.kind == f"{SASL2}response":
                    with self._confided(child, content(child)) as message:
                        self._respond(exchange, message)
                elif child.kind == f"{SASL2}abort":
                    raise SaslFailure("aborted")
                else:
                    raise StreamError("not-authorized", "amid a login")
            elif child.kind == f"{SASL2}authenticate":
                self._authenticate(child)
            else:
                raise SaslFailure("malformed-request")
        except SaslFailure as failure:
            self._refuse(failure)

    def _authenticate(self, child: Child) -> None:
        """Raises SaslFailure."""
        mechanism = child.attributes.get("mechanism", "")
        payload = initial_response(child)
        tokens = self._host.tokens.mechanisms(self._stream.link.bindings)
        self._token = None
        self._by_token = False
        self._wishes = read(child, tokens)
        if mechanism in tokens:
            if payload is None or self._wishes.fast is None:
                raise SaslFailure("malformed-request")
            self._with_token(mechanism, decode_payload(payload), self._wishes.fast)
            return
        exchange = self._begin(mechanism)
        if payload is not None:
            with self._confided(child, payload) as message:
                self._run(exchange.first(message), self._proceed)
        else:
            self._stream.link.put(f"<challenge xmlns='{NS}'/>".encode())

    def _with_token(self, mechanism: str, message: bytes, fast: Element) -> None:
        """Raises SaslFailure. Takes the same time whether or not there is such an account."""
        host, wishes = self._host, self._wishes
        account = host.gate.account(parse_ht(message).username)
        client = host.gate.client(account or host.settings.domain, wishes.agent)
        # Before the token is used: it may be the account's last, and all that keeps the keys.
        lease = host.gate.keyring.share(account.text.encode()) if account is not None else None
        try:
            login = host.tokens.check(
                account,
                client,
                mechanism,
                message,
                self._stream.link.bindings,
                fast.get("count"),
                invalidate=fast.get("invalidate") in _TRUE,
                wanted=wishes.token,
            )
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        if lease is None:  # the keys are gone, and nothing that the client has said brings them back
            host.tokens.forget(login.account)
            raise SaslFailure("credentials-expired")
        self._token = login.replacement
        self._by_token = True
        self._succeed(Accepted(login.account, login.answer, lease))

    # -- success ----------------------------------------------------------------------------------------------------

    def _succeed(self, accepted: Accepted) -> None:
        """Does what was asked for along with the login. To resume comes first and makes binding needless (XEP-0386
        §3.2)."""
        account, wishes, stream = accepted.account, self._wishes, self._stream
        if accepted.authzid and self._claimed and not _same(self._claimed, account):
            accepted.let_go()
            self._refuse(SaslFailure("invalid-authzid"))
            return
        stream.account, stream.lease = account, accepted.lease
        stream.client = client = self._client(account)
        if wishes.token and client is not None and not self._by_token:
            self._token = self._host.tokens.issue(account, client.id, wishes.token)
        if wishes.resume is None and wishes.bind is None:
            self._say(accepted, account, b"")
            return

        def with_session(outcome: tuple[Bound | None, bytes]) -> None:
            bound, told = outcome
            self._say(accepted, bound.session.jid if bound is not None else account, told, bound)
            if bound is not None:
                stream.begin(bound)
                bound.outgoing.begin(stream.link)

        self._run(self._session(account, client), with_session)

    async def _session(self, account: JID, client: Client | None) -> tuple[Bound | None, bytes]:
        """-> the session, if there is one, and what ``<success/>`` says about it. Raises StreamError."""
        wishes, told = self._wishes, b""
        if wishes.resume is not None:
            resumed, told = await c2s_sm.resume(self._host, self._stream, account, wishes.resume.attrib)
            if resumed is not None or self._stream.closing:
                return resumed, told
        if wishes.bind is None:
            return None, told
        bound, element = await bind2.bind(self._host, self._stream, account, wishes.bind, client)
        return bound, told + element

    def _client(self, account: JID) -> Client | None:
        wishes = self._wishes
        if not wishes.agent:
            return None
        key = self._host.gate.client(account, wishes.agent)
        return Client(key, wishes.software, wishes.device, self._by_token)

    def _say(self, accepted: Accepted, jid: JID, told: bytes, bound: Bound | None = None) -> None:
        data = f"<additional-data>{encode_payload(accepted.data)}</additional-data>" if accepted.data else ""
        token = ""
        if self._token is not None:
            ends = datetime.datetime.fromtimestamp(self._token.expires, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            token = f"<token xmlns='{FAST}' expiry='{ends}' token='{self._token.secret.decode()}'/>"
        put = self._stream.link.put
        put(
            f"<success xmlns='{NS}'>{data}<authorization-identifier>{escape(jid.text)}</authorization-identifier>"
            f"{token}".encode()
            + told
            + b"</success>"
        )
        put(after_login(self._host, bound))
        self._token = None
        self._wishes = Wishes()


def initial_response(child: Child) -> bytes | None:
    """What ``<initial-response/>`` holds, in base64; None where there is none. Usually taken out of the child before
    its tree is built: what is in a tree cannot be overwritten."""
    found = _INITIAL.search(child.inner)
    if found is not None and child.inner.count(_NAME) == 2 and f"{SASL2}initial-response" in child.names:
        whole, (start, end) = child.inner, found.span(1)
        child.inner = whole[:start] + whole[end:]
        payload = whole[start:end].strip()
        wipe(whole)
        return payload
    initial = child.tree.find(f"{SASL2}initial-response")
    return (initial.text or "").strip().encode() if initial is not None else None


def _label(agent: Element | None, name: str) -> str:
    text = agent.findtext(f"{SASL2}{name}") if agent is not None else None
    return (text or "").strip()[:LABEL_CHARACTERS]


def _same(claimed: str, account: JID) -> bool:
    return JID.parse(claimed).bare == account
