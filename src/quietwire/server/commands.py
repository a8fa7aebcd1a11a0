"""Ad-hoc commands (XEP-0050 1.3.0) as values: what somebody asks for, and what he is answered.

Nothing is kept between two steps: a command that needs more sends its form, and takes all it needs from the form that
comes back. Registered with `module.Command`, served by `modules/xep0050_commands.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from quietwire.core.errors import StanzaError
from quietwire.core.xml import Element, build
from quietwire.server.forms import X, read

NS: Final = "http://jabber.org/protocol/commands"
COMMAND: Final = f"{{{NS}}}command"

MAX_SESSION: Final = 256
"""Characters of a session's id that a client sends back; ours are shorter."""

_ACTIONS: Final = ("", "execute", "next", "complete", "cancel")


def _error(condition: str, specific: str) -> StanzaError:
    return StanzaError(condition, specific=f"{{{NS}}}{specific}")


@dataclass(frozen=True, slots=True)
class Call:
    """One step. `form`: what was submitted, None at the first step."""

    node: str
    session: str = ""
    cancelled: bool = False
    form: Element | None = None

    def fields(self, form_type: str) -> dict[str, tuple[str, ...]] | None:
        """The fields of the form, None where there is none. Raises StanzaError(bad-request)."""
        return None if self.form is None else read(self.form, form_type)


@dataclass(frozen=True, slots=True)
class Answer:
    """`form`: to be filled in where the status is ``executing``, a result where it is ``completed``. `note`: a line for
    people; with `failed` it says why nothing was done."""

    status: Literal["executing", "completed", "canceled"]
    form: Element | None = None
    note: str = ""
    failed: bool = False

    def element(self, call: Call, session: str) -> Element:
        """``<command/>``; `session` is used where the call has none."""
        out = build(COMMAND, {"node": call.node, "sessionid": call.session or session, "status": self.status})
        if self.status == "executing":
            out.append(build(f"{{{NS}}}actions", {"execute": "complete"}, build(f"{{{NS}}}complete")))
        if self.note:
            out.append(build(f"{{{NS}}}note", {"type": "error" if self.failed else "info"}, text=self.note))
        if self.form is not None:
            out.append(self.form)
        return out


def read_call(command: Element) -> Call:
    """Raises StanzaError(bad-request) with XEP-0050's condition."""
    action = command.get("action", "")
    if action == "prev":
        raise _error("bad-request", "bad-action")  # no command of ours has a step to go back to
    if action not in _ACTIONS:
        raise _error("bad-request", "malformed-action")
    session = command.get("sessionid", "")
    if len(session) > MAX_SESSION:
        raise _error("bad-request", "bad-sessionid")
    form = command.find(X)
    if form is not None and form.get("type") == "cancel":
        return Call(command.get("node", ""), session, cancelled=True)
    if form is not None and form.get("type", "submit") != "submit":
        raise _error("bad-request", "bad-payload")
    return Call(command.get("node", ""), session, action == "cancel", form)
