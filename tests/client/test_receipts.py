"""Receipts that wait for their markers."""

from __future__ import annotations

import asyncio

import pytest

from quietwire.client import receipts
from quietwire.client.receipts import Receipts


def test_a_receipt_waits_and_then_goes_alone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SECONDS", 0.01)

    async def run() -> None:
        gone: asyncio.Queue[tuple[str, str, str | None]] = asyncio.Queue()
        held = Receipts(lambda peer, ref: gone.put_nowait((peer, ref, held.take(peer, ref))))
        id = held.hold("b@b.example", "1")
        assert held.hold("b@b.example", "1") == id
        assert held.hold("b@b.example", "2") != id
        assert held.take("b@b.example", "2")
        assert held.waiting() == [("b@b.example", "1")]
        assert await gone.get() == ("b@b.example", "1", id)
        assert held.take("b@b.example", "1") is None
        assert held.waiting() == []
        assert gone.empty()

    asyncio.run(run())
