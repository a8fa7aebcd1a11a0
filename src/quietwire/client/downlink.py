"""Asking the server to shape its direction of our link (docs/protocols/links.md). Pure."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from quietwire.core.xml import build
from quietwire.shaping.policy import Policy, Profile

NS: Final = "urn:quietwire:links:0"


def ask(policy: Policy) -> Element:
    """The payload of an iq set to our own account."""
    return build(f"{{{NS}}}link", {"profile": str(policy.profile)})


def answered(iq: Element) -> Profile:
    """What the server will do; `off` for what we do not understand."""
    link = iq.find(f"{{{NS}}}link")
    try:
        return Profile.OFF if link is None else Profile(link.get("profile", ""))
    except ValueError:
        return Profile.OFF
