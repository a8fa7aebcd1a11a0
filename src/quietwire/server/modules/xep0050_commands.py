"""XEP-0050: Ad-Hoc Commands of the server. Which there are, other modules register (`module.Command`).

A user's own account takes them as well: some clients ask nobody else."""

from __future__ import annotations

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.server.commands import COMMAND, NS, Answer, read_call
from quietwire.server.module import Context, IqSet, Module, Xep


async def on_command(context: Context, iq: Iq) -> Iq:
    if context.account is not None and (context.session is None or context.session.account is not context.account):
        raise StanzaError("service-unavailable")  # others' accounts take none, whether they exist or not
    call = read_call(iq.payload)
    if context.session is None:
        raise StanzaError("forbidden")
    found = context.services.commands(context.session).get(call.node)
    if found is None:
        raise StanzaError("item-not-found")  # or not for you
    _, run = found
    answer = Answer("canceled") if call.cancelled else await run(call)
    return iq.result(answer.element(call, context.ports["randomness"](9).hex()))


MODULE = Module(
    name="commands",
    xep=Xep(50, "1.3.0"),
    features=(NS,),
    handlers=(IqSet(COMMAND, on_command),),
    keeps=(),
    emits="one reply per request, to accounts of this server",
    needs=("randomness",),
)
