"""A DNS server for two servers that are to find each other: `names.py '{"HOST": PORT, …}'` prints its own port.

Every HOST is found at localhost, its direct TLS port for servers at PORT. Ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys

from quietwire.testing.nameserver import Nameserver


def records(ports: dict[str, int]) -> dict[tuple[str, str], list[str]]:
    """The zone, for `Nameserver`."""
    zone = {(f"_xmpps-server._tcp.{host}", "SRV"): [f"5 10 {port} localhost."] for host, port in ports.items()}
    return zone | {("localhost", "A"): ["127.0.0.1"]}


async def main(ports: dict[str, int]) -> None:
    print(await Nameserver(records(ports)).open(), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
