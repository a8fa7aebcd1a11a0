"""XEP-0504: Data Policy. What the server keeps, made from what its modules declare (`Module.keeps`), in disco#info.

The server knows what it keeps; who else gets at the machine, and what is copied from it, its operator says here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from quietwire.core.xml import Element
from quietwire.server.forms import field, form
from quietwire.server.module import Keeps, Module, Setting, Xep

FORM: Final = "urn:xmpp:data-policy:0"
ACCESS: Final = ("admins", "moderators", "organization_member", "government", "advertisers", "partners")


def make(modules: tuple[Module, ...], settings: Mapping[str, Any]) -> Element:
    kept = [(module, keeps) for module in modules for keeps in module.keeps]
    sealed = bool(kept) and all(keeps.sealed for _, keeps in kept)
    fields = [
        # A password passes here in the clear under TLS whenever an account is made or a client logs in with PLAIN.
        field("auth_data", "list-single", values=("plain",)),
        # Contacts stay until they are removed, messages until they are fetched: there is no number of hours.
        field("data_retention", "text-single", values=("infinite" if kept else "0",)),
        field("data_deletion", "boolean", values=("true",)),
        field("encryption_at_rest", "boolean", values=(_boolean(sealed),)),
        field("data_export", "boolean", values=("false",)),
        field("full_erasure", "boolean", values=("true",)),
        field("access_policy", "list-multi", values=_access(settings, sealed)),
        field("extra_info", "text-multi", values=[_line(module, keeps) for module, keeps in kept]),
    ]
    for key in ("tos", "backup_frequency", "backup_retention"):
        if value := str(settings.get(key, "")).strip():
            fields.append(field(key, "text-single", values=(value,)))
    return form("result", FORM, fields)


def _access(settings: Mapping[str, Any], sealed: bool) -> list[str]:
    said = str(settings.get("access", "")).split()
    return [who for who in ACCESS if who in said or (who == "admins" and not sealed)] or ["none"]


def _line(module: Module, keeps: Keeps) -> str:
    closed = "; unreadable while its owner is away" if keeps.sealed else ""
    return f"{module.name}: {keeps.what}. Until: {keeps.until}{closed}."


def _boolean(value: bool) -> str:
    return "true" if value else "false"


MODULE = Module(
    name="data-policy",
    xep=Xep(504, "0.1.0"),
    features=(FORM,),
    handlers=(
        Setting("access", "admins", "Who gets at users' data, with spaces between: admins, moderators, "
                "organization_member, government, advertisers, partners."),
        Setting("tos", "", "URI of the terms of service."),
        Setting("backup_frequency", "", "Hours between two backups, 0 for none; empty: not said."),
        Setting("backup_retention", "", "Hours that a backup is kept, 0, infinite or unknown; empty: not said."),
    ),
    keeps=(),
    emits="what is kept, for how long and who gets at it, in the server's disco#info",
    form=make,
)  # fmt: skip
