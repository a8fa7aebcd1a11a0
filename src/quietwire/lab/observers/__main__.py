"""``python -m quietwire.lab.observers NAME PATH``: one adversary on one trace; its findings as JSON on standard output.

The process is given the trace (for `disk` a copy of the data directory) and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from quietwire.lab.findings import Finding, to_json
from quietwire.lab.observers import client_network, disk, live_server, peer_server, server_network
from quietwire.lab.trace import TraceError, read_links, read_stanzas

OBSERVERS: dict[str, Callable[[Path], list[Finding]]] = {
    "live-server": lambda path: live_server.observe(read_stanzas(path)),
    "disk": disk.observe,
    "server-network": lambda path: server_network.observe(read_links(path)),
    "client-network": lambda path: client_network.observe(read_links(path)),
    "peer-server": lambda path: peer_server.observe(read_stanzas(path)),
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in OBSERVERS:
        print(f"usage: python -m quietwire.lab.observers {{{','.join(OBSERVERS)}}} PATH", file=sys.stderr)  # noqa: T201
        return 2
    try:
        findings = OBSERVERS[arguments[0]](Path(arguments[1]))
    except (OSError, TraceError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    json.dump(to_json(findings), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
