from __future__ import annotations

import tomllib
from typing import Any

import pytest

from quietwire.cli.checks.configuration import configuration
from quietwire.cli.checks.finding import Severity
from quietwire.cli.config import Config

STRONG = '[login]\nplain = false\n[links]\nprofile = "padded"\n'


def found(text: str) -> dict[str, Severity]:
    config = Config.model_validate({"domain": "a.example", **tomllib.loads(text)})
    return {one.subject: one.severity for one in configuration(config)}


def test_nothing_to_say() -> None:
    assert found(STRONG) == {"quietwire.toml": Severity.OK}


@pytest.mark.parametrize(
    ("text", "subject", "severity"),
    [
        ("[login]\niterations = 4096", "login.iterations", Severity.WARNING),
        ("[login]\nplain = true", "login.plain", Severity.NOTE),
        ("[modules.registration]\nopen = true", "modules.registration.open", Severity.WARNING),
        ('[admin]\njids = ["me@b.example"]', "admin.jids", Severity.WARNING),
        ('[modules.addresses]\nabuse = "me@a.example"', "modules.addresses.abuse", Severity.WARNING),
        ("[login]\ntoken_hours = 720.0", "login.token_hours", Severity.NOTE),
        ('[federation]\nauthentication = "dialback"', "federation.authentication", Severity.WARNING),
        ("[federation]\ndomain_stanzas = 0", "federation.domain_stanzas", Severity.WARNING),
        ("[federation]\nlog_domains = true", "federation.log_domains", Severity.NOTE),
        ('[modules.muc]\ncreate = "anyone"', "modules.muc.create", Severity.WARNING),
        ("[rates]\nclient_bytes = 0", "rates.client_bytes", Severity.WARNING),
        ("[rates]\nclient_stanzas = 0", "rates.client_stanzas", Severity.WARNING),
        ("[limits]\nstanza_bytes = 4000000", "limits.stanza_bytes", Severity.WARNING),
        ("[limits]\nunauthenticated_seconds = 600.0", "limits.unauthenticated_seconds", Severity.WARNING),
        ("[limits]\nstrangers_per_network = 900", "limits.strangers_per_network", Severity.WARNING),
        ("[limits]\nresume_seconds = 86400.0", "limits.resume_seconds", Severity.NOTE),
        ("[listen]\nc2s = 0\nc2s_tls = 0\nhttps = 0", "listen", Severity.ERROR),
        ("[listen]\nc2s_tls = 0", "listen.c2s_tls", Severity.NOTE),
        ("[listen]\nc2s_tls = 5222", "listen.c2s_tls", Severity.ERROR),
        ("[listen]\ns2s = 0\ns2s_tls = 0", "listen.s2s", Severity.WARNING),
        ("[federation]\nenabled = false", "federation.enabled", Severity.NOTE),
        ('[federation.override."b.example"]\nhost = "x"', 'federation.override."b.example"', Severity.NOTE),
        ('[tls]\nauthority = "ca.pem"', "tls.authority", Severity.NOTE),
        ("[links]", "links.profile", Severity.NOTE),
        ('[links]\nprofile = "jitter"', "links.profile", Severity.NOTE),
        ('[links]\nprofile = "steady"', "listen.https", Severity.NOTE),
        ('[links]\nprofile = "steady"\ntick = 0.2', "links.tick", Severity.WARNING),
        ('[links]\nprofile = "steady"\ntick = 120', "links.tick", Severity.WARNING),
        ('[links]\nprofile = "steady"\nwindow = 0', "links.window", Severity.WARNING),
        ('[links]\nprofile = "steady"\ncell = 4094\nqueue = 4096', "links.queue", Severity.WARNING),
        ('[links]\nprofile = "steady"\n[listen]\nc2s_local = 1', "listen.c2s_local", Severity.NOTE),
        ('[links.s2s]\nprofile = "steady"\ntick = 0.25\ncell = 16382', "links.s2s.tick", Severity.WARNING),
        ('[log]\nlevel = "debug"', "log.level", Severity.NOTE),
    ],
)
def test_each_weakness_has_its_finding(text: str, subject: str, severity: Severity) -> None:
    assert found(text)[subject] == severity


def test_invitations_administrators_and_addresses_are_no_weakness() -> None:
    text = '[admin]\njids = ["me@a.example"]\n[modules.addresses]\nabuse = "mailto:me@a.example"\n'
    assert found(STRONG + text) == {"quietwire.toml": Severity.OK}


def test_whatever_does_not_work_has_a_remedy() -> None:
    text = "[listen]\nc2s = 0\nc2s_tls = 0\nhttps = 0\ns2s = 0\ns2s_tls = 0\n[login]\niterations = 4096\n"
    values: dict[str, Any] = {"domain": "a.example", **tomllib.loads(text)}
    for one in configuration(Config.model_validate(values)):
        assert one.remedy or one.severity < Severity.WARNING
        assert "\n" not in one.cause + one.remedy
