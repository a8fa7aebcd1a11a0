"""The server's features, one file each (`server/module.py`)."""

from __future__ import annotations

import importlib
import pkgutil

from quietwire.server.module import Module


def discover() -> tuple[Module, ...]:
    """The `MODULE` of every file in this package, sorted by name."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    modules: list[Module] = [importlib.import_module(f"{__name__}.{name}").MODULE for name in names]
    return tuple(sorted(modules, key=lambda module: module.name))
