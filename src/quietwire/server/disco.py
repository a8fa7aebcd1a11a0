"""Service discovery (XEP-0030 2.5.0) as values: what the server and an account say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from quietwire.core import ns
from quietwire.core.xml import Element, build
from quietwire.server.module import Module

INFO: Final = f"{{{ns.DISCO_INFO}}}query"
ITEMS: Final = f"{{{ns.DISCO_ITEMS}}}query"
IDENTITY: Final = f"{{{ns.DISCO_INFO}}}identity"
FEATURE: Final = f"{{{ns.DISCO_INFO}}}feature"
ITEM: Final = f"{{{ns.DISCO_ITEMS}}}item"

Identity = tuple[str, str, str]
"""(category, type, name); name '' for none."""

SERVER_IDENTITY: Final[Identity] = ("server", "im", "Quietwire")
ACCOUNT_IDENTITY: Final[Identity] = ("account", "registered", "")


@dataclass(frozen=True, slots=True)
class Info:
    """An answer to disco#info: identities and features, each sorted and once."""

    identities: tuple[Identity, ...]
    features: tuple[str, ...]
    forms: tuple[Element, ...] = ()
    """Data forms (XEP-0128)."""

    def query(self, node: str | None = None) -> Element:
        """``<query/>`` (§3.1)."""
        identities = (
            build(IDENTITY, {"category": category, "type": kind} | ({"name": name} if name else {}))
            for category, kind, name in self.identities
        )
        features = (build(FEATURE, {"var": feature}) for feature in self.features)
        return build(INFO, {} if node is None else {"node": node}, *identities, *features, *self.forms)


def info(identities: Iterable[Identity], features: Iterable[str]) -> Info:
    return Info(tuple(sorted(set(identities))), tuple(sorted(set(features))))


def server_info(modules: Sequence[Module]) -> Info:
    """Of the server itself, with these modules active."""
    found = info((SERVER_IDENTITY,), (feature for module in modules for feature in module.features))
    return replace(found, forms=tuple(form for module in modules for form in module.forms))


def with_forms(modules: Sequence[Module], settings: Mapping[str, Mapping[str, Any]]) -> tuple[Module, ...]:
    """The modules with the forms that they show under these settings."""
    active = tuple(modules)
    made = ((module, module.form(active, settings.get(module.name, {}))) for module in active)
    return tuple(module if form is None else replace(module, forms=(form,)) for module, form in made)


def account_info(modules: Sequence[Module]) -> Info:
    """Of an account's bare JID."""
    return info(
        (ACCOUNT_IDENTITY, *(identity for module in modules for identity in module.identities)),
        (feature for module in modules for feature in (*module.features, *module.account_features)),
    )


def items(entries: Iterable[dict[str, str]], node: str | None = None) -> Element:
    """``<query/>`` of disco#items (§4.1); an entry has the attributes `jid`, and `node` or `name` where they apply."""
    return build(ITEMS, {} if node is None else {"node": node}, *(build(ITEM, entry) for entry in entries))
