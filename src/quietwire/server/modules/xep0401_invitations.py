"""XEP-0401: Ad-hoc Account Invitation Generation: commands that make invitations, and the page that a link opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError
from quietwire.seal.recovery import make_recovery_code
from quietwire.server import landing
from quietwire.server.commands import Answer, Call
from quietwire.server.forms import field, form
from quietwire.server.http import Request, Response, form_fields
from quietwire.server.invitations import TABLE, Invitation, InvitationError, Invitations, refused
from quietwire.server.module import (
    AccountHook,
    Command,
    Context,
    Every,
    HttpRoute,
    Keeps,
    Module,
    Reload,
    Setting,
    Xep,
)
from quietwire.server.registration import MIN_PASSWORD, Registrar

INVITE: Final = "urn:xmpp:invite#invite"
CREATE: Final = "urn:xmpp:invite#create-account"
FORM: Final = "urn:xmpp:invite#invitation"
PAGE: Final = "/invite/"

_TEXTS: Final = {
    "conflict": "This name is taken.",
    "jid-malformed": "This cannot be a name: use letters and digits.",
    "not-acceptable": f"This password cannot be used: it needs {MIN_PASSWORD} characters or more, of usual ones.",
}


@dataclass(slots=True)
class State:
    users: bool
    users_register: bool
    days: int


def make_state(settings: Mapping[str, Any]) -> State:
    days = min(max(int(settings.get("days", 7)), 1), 365)
    return State(bool(settings.get("users", True)), bool(settings.get("users_register", False)), days)


def on_reload(context: Context, settings: Mapping[str, Any]) -> None:
    again, state = make_state(settings), context.state
    state.users, state.users_register, state.days = again.users, again.users_register, again.days


# -- commands ---------------------------------------------------------------------------------------------------------


def may_invite(context: Context) -> bool:
    return context.state.users or may_create(context)


def may_create(context: Context) -> bool:
    return context.session is not None and context.services.is_admin(context.session.jid)


async def on_invite(context: Context, call: Call) -> Answer:
    """§4.1: an invitation at once."""
    admin = may_create(context)
    register = admin or context.state.users_register
    return _make(context, register=register, contact=True, unlimited=admin)


async def on_create(context: Context, call: Call) -> Answer:
    """§4.4: asks for the name first."""
    values = call.fields(FORM)
    if values is None:
        fields = (
            field("username", "text-single", "Name of the account; empty: the guest chooses"),
            field("roster-subscription", "boolean", "Make the guest a contact of yours", ("0",)),
        )
        return Answer("executing", form("form", FORM, fields, title="Invite somebody to an account of their own"))
    name = "".join(values.get("username", ())).strip()
    contact = values.get("roster-subscription", ("0",)) in (("1",), ("true",))
    return _make(context, register=True, contact=contact, name=name, unlimited=True)


def _make(context: Context, *, register: bool, contact: bool, unlimited: bool, name: str = "") -> Answer:
    assert context.session is not None
    invitations: Invitations = context.ports["invitations"]
    try:
        if name and context.services.exists(JID.of(name, context.domain.domain)):
            raise StanzaError("conflict")
        token, made = invitations.make(
            context.session.jid.bare,
            days=context.state.days,
            register=register,
            contact=contact,
            name=name,
            unlimited=unlimited,
        )
    except InvitationError as error:
        raise refused(error) from None
    except JIDError:
        raise StanzaError("not-acceptable", "not a name that an account can have") from None
    landing_url = invitations.landing(token)
    fields = [field("uri", "text-single", "Link for an app", (invitations.uri(token, made),))]
    if landing_url:
        fields.append(field("landing-url", "text-single", "Link for a browser", (landing_url,)))
    fields.append(field("expire", "text-single", "Good until", (_date(made),)))
    return Answer("completed", form("result", FORM, fields))


def _date(invitation: Invitation) -> str:
    return datetime.fromtimestamp(invitation.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- the page ---------------------------------------------------------------------------------------------------------


async def on_page(context: Context, request: Request) -> Response:
    token, invitation = _invited(context, request)
    if invitation is None:
        return landing.over(context.domain.domain)
    return landing.show(invitation, context.ports["invitations"].uri(token, invitation), context.domain.domain)


async def on_form(context: Context, request: Request) -> Response:
    """The link itself is the right to do this; there are no cookies that another page could use."""
    domain = context.domain.domain
    token, invitation = _invited(context, request)
    if invitation is None or not invitation.register:
        return landing.over(domain)
    ports = context.ports
    uri = ports["invitations"].uri(token, invitation)
    values = form_fields(request)
    name = values.get("name", "").strip()
    if values.get("password") != values.get("again"):
        return landing.show(
            invitation, uri, domain, status=400, problem="These are two different passwords.", name=name
        )
    made = (ports[each] for each in ("store", "admin", "invitations", "arrivals"))
    registrar = Registrar(context.domain, context.services, *made)
    code = make_recovery_code(ports["randomness"])
    try:
        jid = await registrar.register(name, values.get("password", ""), token, code)
    except StanzaError as error:
        if error.condition == "not-allowed":
            return landing.over(domain)
        problem = _TEXTS.get(error.condition, "This could not be done. Try again later.")
        return landing.show(invitation, uri, domain, status=400, problem=problem, name=name)
    known = invitation.contact and bool(invitation.inviter.local) and context.services.exists(invitation.inviter)
    return landing.done(jid.text, domain, invitation.inviter.text if known else "", code)


def _invited(context: Context, request: Request) -> tuple[str, Invitation | None]:
    token = request.path.removeprefix(PAGE)
    return token, context.ports["invitations"].find(token)


def on_erased(context: Context) -> None:
    assert context.account is not None
    context.ports["invitations"].erased(context.account.jid)


def on_hour(context: Context) -> None:
    context.ports["invitations"].expire()


MODULE = Module(
    name="invitations",
    xep=Xep(401, "0.6.0"),
    features=("urn:xmpp:invite",),
    handlers=(
        Command(INVITE, "Invite somebody", on_invite, may_invite),
        Command(CREATE, "Make an account by invitation", on_create, may_create),
        HttpRoute("GET", f"{PAGE}*", on_page),
        HttpRoute("POST", f"{PAGE}*", on_form),
        AccountHook("erased", on_erased),
        Every(3600.0, on_hour),
        Reload(on_reload),
        Setting("users", True, "Every account may invite people to become its contacts."),
        Setting("users_register", False, "Such an invitation lets its guest make an account here too."),
        Setting("days", 7, "How many days an invitation is good for, 1 to 365; until the end of the last one."),
    ),
    keeps=(
        Keeps(
            "under the server's key the hash of the token, the day on which it ends, what it is good for, and hashes "
            "of the inviter and of the name that is promised; these themselves under a key that only the link gives",
            TABLE,
            False,
            "used, withdrawn, or the day is over",
        ),
    ),
    emits="one reply per request; the page, to who has a link; to inviter and guest that they are contacts",
    needs=("store", "admin", "invitations", "arrivals", "randomness"),
    state=make_state,
)
