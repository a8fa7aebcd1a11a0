"""`peer-server`: the correspondent's server. No enemy, but it sees all that is addressed to its own users.

Here it is asked about the user of the other server, so the rosters it hands to its own users are not looked at.
"""

from __future__ import annotations

from quietwire.lab.findings import Finding
from quietwire.lab.observers import stanzas
from quietwire.lab.trace import StanzaTrace


def observe(trace: StanzaTrace) -> list[Finding]:
    return stanzas.all_of(trace, rosters=False)
