"""`quietwire reload` and SIGHUP: configuration and certificates anew, without dropping a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from quietwire.cli.commands import ask_running
from quietwire.cli.compose import Composition, read_tls
from quietwire.cli.config import load

TABLES = ("tls", "limits", "rates", "login", "admin", "log")
"""What changes at once, for connections and logins to come. Other keys wait for a restart, except the settings of
modules that take them (`module.Reload`)."""
FEDERATION = (
    "authentication", "allow", "refuse", "domain_bytes", "domain_stanzas", "connections_per_domain", "log_domains",
)  # fmt: skip
"""Keys of `[federation]` that change at once as well."""


def reload(composition: Composition, path: Path) -> list[str]:
    """Puts into force what can be; certificates are read anew even if the file is unchanged. -> the keys that have
    changed and need a restart. Raises ConfigError, and then nothing has changed."""
    old, new = composition.config, load(path)
    tls = read_tls(new)
    taken = composition.server.router.reloadable
    changed = {key for key in keys(old).keys() | keys(new).keys() if keys(old).get(key) != keys(new).get(key)}
    waiting = sorted(key for key in changed if not _live(key, taken))
    modules = {name: table for name, table in old.modules.items() if name not in taken}
    modules |= {name: table for name, table in new.modules.items() if name in taken}
    federation = old.federation.model_copy(update={key: getattr(new.federation, key) for key in FEDERATION})
    tables = {table: getattr(new, table) for table in TABLES}
    config = old.model_copy(update={**tables, "federation": federation, "modules": modules})

    settings = config.settings()
    composition.server.reload(settings)
    composition.incoming.common.reload(settings, federation.policy())
    composition.log.set_level(config.log.level)
    composition.daemon.doors.limits = config.limits.doors()
    for listener in composition.daemon.listeners:
        kind = "s2s" if listener.key.startswith("s2s") else "c2s"
        listener.context, listener.certificate = tls.contexts[kind], tls.certificate
        if kind == "c2s":
            listener.rates = config.rates.clients()
    composition.dialler.context = tls.dial
    composition.sockets.certificate, composition.sockets.rates = tls.certificate, config.rates.clients()
    if composition.web.context is not None:
        composition.web.context = tls.contexts["web"]
    composition.config = config
    for key in waiting:
        composition.log.warn("restart-needed", where=key)
    composition.log.note("reloaded")
    return waiting


def keys(config: BaseModel, table: str = "") -> dict[str, Any]:
    """Every key of the configuration with its table, and its value."""
    found: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found |= keys(value, f"{table}{name}.")
        elif name == "modules":
            found |= {f"modules.{module}.{key}": value for module, one in value.items() for key, value in one.items()}
        else:
            found[table + name] = value
    return found


def _live(key: str, modules: frozenset[str]) -> bool:
    table, _, rest = key.partition(".")
    if table == "modules":
        return rest.partition(".")[0] in modules
    return table in TABLES or (table == "federation" and rest in FEDERATION)


def register(app: typer.Typer) -> None:
    @app.command("reload")
    def command(
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
    ) -> None:
        """Have the running server read its configuration and certificates anew; no stream is dropped."""
        waiting = ask_running(load(config), "reload")
        for key in waiting:
            typer.echo(f"{key} takes effect after a restart")
        typer.echo("reloaded")
