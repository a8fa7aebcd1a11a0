from __future__ import annotations

from pathlib import Path

from quietwire.client.model import Settings
from quietwire.client.trust import Policy


def test_secrets_do_not_show() -> None:
    settings = Settings(jid="a@x.example", password="pencil", store=Path("s"), passphrase="sesame")
    assert "pencil" not in repr(settings)
    assert "sesame" not in repr(settings)


def test_defaults_are_the_careful_ones() -> None:
    settings = Settings(jid="a@x.example", password="p", store=Path("s"))
    assert (settings.resource, settings.ca_file, settings.address, settings.direct_tls) == (None, None, None, True)
    assert settings.policy is Policy.BTBV
