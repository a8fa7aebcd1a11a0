"""TLS record padding for the whole process (DESIGN §5). Imports nothing that could load OpenSSL."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

VARIABLE = "OPENSSL_CONF"
TEMPLATE = """openssl_conf = quietwire
[quietwire]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
RecordPadding = {block}
"""
DEFAULT_BLOCK = 512


def openssl_configuration(block: int) -> str:
    """The text of an OpenSSL configuration that pads every TLS 1.3 record to a multiple of `block` bytes."""
    return TEMPLATE.format(block=block)


def wanted_block(arguments: Sequence[str]) -> int:
    """The block that `serve --config FILE` asks for, 0 for none: that of clients' links, where servers' have another.
    Mistakes are left to the real reader of the file."""
    if len(arguments) < 2 or arguments[1] != "serve":
        return 0
    path = "quietwire.toml"
    for index, argument in enumerate(arguments):
        if argument in ("--config", "-c") and index + 1 < len(arguments):
            path = arguments[index + 1]
        elif argument.startswith("--config="):
            path = argument.partition("=")[2]
    try:
        with open(path, "rb") as file:
            links: Any = tomllib.load(file).get("links", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return 0
    if not isinstance(links, dict):
        return 0
    if links.get("padding") == "spaces":
        return 0
    profile, block = links.get("profile"), links.get("block", DEFAULT_BLOCK)
    servers = links.get("s2s")
    if profile != "padded" and isinstance(servers, dict) and servers.get("profile") == "padded":
        profile, block = "padded", servers.get("block", block)
    return block if profile == "padded" and isinstance(block, int) else 0


def padding_in_force(environment: Mapping[str, str]) -> int:
    """The block that a process with this environment has its TLS 1.3 records padded to, 0 for none."""
    try:
        with open(environment[VARIABLE], encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (KeyError, OSError, UnicodeDecodeError):
        return 0
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "RecordPadding" and value.strip().isdecimal():
            return int(value)
    return 0


def restart_padded(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Executes this program again with padding if it wants it and has it not yet; otherwise returns."""
    block = wanted_block(arguments)
    if not block or padding_in_force(environment) == block:
        return
    if hasattr(os, "memfd_create"):
        # An anonymous file that the new program inherits: nothing is left on the disk.
        descriptor = os.memfd_create("openssl-padding", 0)
        os.set_inheritable(descriptor, True)
        path = f"/proc/self/fd/{descriptor}"
    else:
        import tempfile

        descriptor, path = tempfile.mkstemp(prefix="openssl-padding-")
    os.write(descriptor, openssl_configuration(block).encode())
    padded = {**environment, VARIABLE: path}
    os.execve(sys.executable, [sys.executable, "-m", "quietwire", *arguments[1:]], padded)  # noqa: S606
