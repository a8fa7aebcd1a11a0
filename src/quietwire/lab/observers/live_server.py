"""`live-server`: has broken into the running server and sees every stanza that it routes, in and out.

Its own users' rosters, resources and presence are in its memory; message content is sealed end to end.
"""

from __future__ import annotations

from quietwire.lab.findings import Finding
from quietwire.lab.observers import stanzas
from quietwire.lab.trace import StanzaTrace


def observe(trace: StanzaTrace) -> list[Finding]:
    return stanzas.all_of(trace, rosters=True)
