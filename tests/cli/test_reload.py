"""What a reload puts into force, what it leaves for a restart, and that a mistake changes nothing."""

from __future__ import annotations

import asyncio
import io
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quietwire.cli.compose import Composition, compose
from quietwire.cli.config import load
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.reload import keys, reload
from quietwire.core.errors import ConfigError
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.shaping.bucket import Rates


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return prepare(tmp_path / "server", "chat.example", "alice")[0]


def running(path: Path, use: Callable[[Composition], Awaitable[Any]]) -> str:
    """-> the log."""
    log = io.StringIO()

    async def main() -> None:
        composition = await compose(load(path), Log("info", log))
        try:
            await use(composition)
        finally:
            await composition.stop()

    asyncio.run(main())
    return log.getvalue()


def append(path: Path, text: str, enabled: str = "enabled = false") -> None:
    path.write_text(path.read_text().replace("enabled = false", enabled) + text)


def certify(folder: Path, domain: str, days: int = 9) -> bytes:
    authority = Authority("renewed", now=time.time(), days=days, new_key=new_p256_key, random=lambda n: b"\2" * n)
    issued = authority.issue([domain])
    (folder / "certificate.pem").write_bytes(issued.certificate)
    (folder / "key.pem").write_bytes(issued.key)
    return ssl.PEM_cert_to_DER_cert(issued.certificate.decode().split("-----END")[0] + "-----END CERTIFICATE-----\n")


async def shown(port: int) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.transport.abort()
    return bytes(found)


def test_a_renewed_certificate_is_shown_to_those_who_come_and_others_stay(path: Path) -> None:
    async def use(composition: Composition) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        port = composition.ports["c2s_tls"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        before = await shown(port)
        renewed = certify(path.parent, "chat.example")
        assert await shown(port) == before
        assert reload(composition, path) == []
        assert await shown(port) == renewed != before
        assert await shown(composition.ports["https"]) == renewed
        assert all(listener.certificate == renewed for listener in composition.daemon.listeners)
        writer.write(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                     b"to='chat.example' version='1.0'>")  # fmt: skip
        assert b"mechanisms" in await reader.readuntil(b"</stream:features>")
        writer.transport.abort()

    assert "reloaded" in running(path, use)


def test_what_can_change_changes_and_what_cannot_is_named(path: Path) -> None:
    more = (
        "[limits]\nunauthenticated_seconds = 7.0\nstrangers = 77\n[rates]\nclient_bytes = 5000\n"
        "[login]\nplain = false\niterations = 5000\n[log]\nlevel = 'warning'\n"
        "[modules.offline]\nstanzas = 3\n[links]\nblock = 1024\n"
    )

    async def use(composition: Composition) -> None:
        append(path, more, "enabled = true\nrefuse = ['bad.example']")
        assert reload(composition, path) == ["federation.enabled", "links.block"]
        server = composition.server
        assert server.settings.unauthenticated_seconds == 7.0
        assert composition.incoming.common.settings.unauthenticated_seconds == 7.0
        assert not server.settings.federation
        assert server.gate.mechanisms(True, {}) == ("SCRAM-SHA-256", "SCRAM-SHA-1")
        assert server.admin.iterations == 5000
        assert not composition.incoming.common.policy.admits("bad.example")
        assert composition.daemon.doors.limits.strangers == 77
        assert composition.daemon.listeners[0].rates == Rates(5000, 2_000)
        assert server.settings.modules["offline"] == {"stanzas": 3}
        assert composition.config.links.block == 512
        assert reload(composition, path) == ["federation.enabled", "links.block"]

    log = running(path, use)
    assert log.count("event='restart-needed' where='links.block'") == 2
    assert "event='reloaded'" not in log  # the level is warning by then


@pytest.mark.parametrize(
    "mistake", ["[limits]\nstanza_bytes = 3\n", "[nonsense]\n", "= 3\n", '[modules.muc]\ncreate = "all"\n']
)
def test_a_mistake_in_the_file_changes_nothing(path: Path, mistake: str) -> None:
    async def use(composition: Composition) -> None:
        before = composition.config, composition.server.settings
        append(path, "[login]\nplain = false\n" + mistake)
        with pytest.raises(ConfigError):
            reload(composition, path)
        assert (composition.config, composition.server.settings) == before
        assert "PLAIN" in composition.server.gate.mechanisms(True, {})

    running(path, use)


def test_a_key_that_does_not_fit_the_certificate_changes_nothing(path: Path) -> None:
    async def use(composition: Composition) -> None:
        port = composition.ports["c2s_tls"]
        before = await shown(port)
        old = (path.parent / "key.pem").read_bytes()
        certify(path.parent, "chat.example")
        (path.parent / "key.pem").write_bytes(old)
        with pytest.raises(ConfigError, match=r"tls\.key"):
            reload(composition, path)
        assert await shown(port) == before

    running(path, use)


def test_every_key_with_its_table(path: Path) -> None:
    found = keys(load(path))
    assert found["limits.depth"] == 100
    assert found["domain"] == "chat.example"
    assert "federation.override" in found
