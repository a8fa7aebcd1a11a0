"""XEP-0359: Unique and Stable Stanza IDs. Ids that pretend to be of an account here are taken out of messages.

Our own are added where a message is archived (`xep0313_archive.py`); what clients say of themselves stays as it is.
"""

from __future__ import annotations

from typing import Final

from quietwire.server.mam import STANZA_ID, without_ids
from quietwire.server.module import Context, MessageHook, Module, Stage, Xep
from quietwire.server.pipeline import Passage

NS: Final = "urn:xmpp:sid:0"


def strip(context: Context, passage: Passage) -> None:
    """§3: no id by the recipient's account but its own, nor by the sender's, whose devices get copies."""
    message = passage.message
    by = [passage.to.bare.text] if passage.local else []
    if passage.session is not None:
        by.append(passage.session.account.jid.text)
    if by:
        passage.message = without_ids(message, *by)


MODULE = Module(
    name="stanza_ids",
    xep=Xep(359, "0.7.0"),
    features=(NS,),
    handlers=(MessageHook(Stage.STAMP, strip, child=STANZA_ID),),
    keeps=(),
    emits="nothing of its own",
)
