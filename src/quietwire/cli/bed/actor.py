"""One device of one person in the test bed: the real client, told what to do by lines of JSON on standard input.

The first line holds the settings. Each further one is ``{"n": number, "do": action, ...}`` and is answered by
``{"n": number, "ok": true, ...}`` or ``{"n": number, "ok": false, "error": text}``. What happens is reported as
``{"got": id}`` or ``{"event": name}``, and written to the truth file. A device with ``active`` answers texts with
receipts, at once, as people's clients do. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Literal

from quietwire.client import events
from quietwire.client.core import Client, Settings
from quietwire.core.errors import QuietwireError
from quietwire.lab.truth import Event, TruthWriter, digest

KINDS: dict[type[events.Event], str] = {
    events.Message: "message",
    events.Reply: "reply",
    events.Correction: "correction",
    events.Reaction: "reaction",
    events.ChatState: "typing",
    events.Receipt: "receipt",
    events.Displayed: "displayed",
}


def say(**report: Any) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


class Actor:
    """Binds a client to the orders and to the truth."""

    def __init__(self, client: Client, truth: TruthWriter, device: str, *, active: bool) -> None:
        self._client = client
        self._truth = truth
        self._device = device
        self._active = active
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._granted: set[str] = set()

    def _note(self, event: Literal["sent", "got", "online", "cut", "resumed"], at: float, **fields: Any) -> None:
        self._truth.write(Event(at, self._client.jid, self._device, event, **fields))

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order; returns what to answer. Raises QuietwireError, KeyError."""
        client, to = self._client, order.get("to", "")
        match order["do"]:
            case "typing":
                return await self._send("typing", to)
            case "say":
                return await self._send("message", to, text=order["text"])
            case "reply":
                return await self._send("reply", to, order["about"], order["text"])
            case "correct":
                return await self._send("correction", to, order["about"], order["text"])
            case "react":
                return await self._send("reaction", to, order["about"], order["text"])
            case "displayed":
                return await self._send("displayed", to, order["about"])
            case "subscribe":
                await client.subscribe(to)
                return {}
            case "devices":
                return {"known": [d.device for d in await client.devices(to or None) if d.active], "own": client.device}
            case "drain":
                return {"drained": await client.drained()}
        raise KeyError(order["do"])

    async def _send(self, kind: str, to: str, about: str = "", text: str = "") -> dict[str, Any]:
        client = self._client
        async with self._turn:  # what is first in the truth is first on the wire
            at = time.time()
            match kind:
                case "typing":
                    id = await client.send_chat_state(to, "composing")
                case "message":
                    id = await client.send_text(to, text)
                case "reply":
                    id = await client.send_reply(to, about, text)
                case "correction":
                    id = await client.send_correction(to, about, text)
                case "reaction":
                    id = await client.send_reaction(to, about, [text])
                case "displayed":
                    id = await client.send_displayed(to, about)
                case _:
                    id = await client.send_receipt(to, about)
            said = text if kind in ("message", "reply", "correction") else ""
            self._note("sent", at, kind=kind, peer=to, id=id, length=len(said), digest=digest(said) if said else "")
        say(sent=id, kind=kind)
        return {"id": id}

    async def listen(self) -> None:
        async for event in self._client.events():
            self._happened(event)

    def _happened(self, event: events.Event) -> None:
        now = time.time()
        carbon = isinstance(event, events.Sent)
        what = event.what if isinstance(event, events.Sent) else event
        match what:
            case events.Encrypted() if type(what) in KINDS:
                text = getattr(what, "text", "")
                self._note(
                    "got",
                    now,
                    kind=KINDS[type(what)],
                    peer=what.peer if carbon else what.sender,
                    id=what.id,
                    length=len(text),
                    digest=digest(text) if text else "",
                    carbon=carbon,
                )
                say(got=what.id)
                if self._active and not carbon and text:
                    self._spawn(self._send("receipt", what.sender, what.id))
            case events.Connected():
                self._note("online", now)
                say(event="online")
            case events.LinkLost():
                self._note("cut", now)
                say(event="cut")
            case events.Resumed():
                self._note("resumed", now)
                say(event="resumed")
            case events.SubscriptionRequest() if self._active:
                self._spawn(self._grant(what.jid))
            case events.Subscribed():
                say(event="subscribed")
            case events.Undecryptable():
                say(event="trouble", what=f"undecryptable: {what.reason}")
            case events.Unencrypted():
                say(event="trouble", what="a message came in the clear")
            case events.Failed():
                say(event="trouble", what=f"bounced: {what.condition}")
            case events.Disconnected():
                say(event="trouble", what=f"gave up: {what.reason}")

    async def _grant(self, jid: str) -> None:
        if jid not in self._granted:
            self._granted.add(jid)
            await self._client.accept(jid)

    def _spawn(self, work: Any) -> None:
        async def guarded() -> None:
            try:
                await work
            except QuietwireError as error:
                say(event="trouble", what=str(error))

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def run() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    given = json.loads(await lines.readline())
    truth = TruthWriter(Path(given["truth"]))
    settings = Settings(
        jid=given["jid"],
        password=given["password"],
        store=Path(given["store"]),
        passphrase=given["passphrase"],
        address=(given["host"], given["port"]),
        ca_file=Path(given["authority"]),
    )
    client = Client(settings)
    actor = Actor(client, truth, given["device"], active=given["active"])
    listening = asyncio.get_running_loop().create_task(actor.listen())
    try:
        await client.connect()
    except QuietwireError as error:
        say(event="trouble", what=str(error))
        return
    say(event="ready", device=client.device)
    while line := await lines.readline():
        order = json.loads(line)
        try:
            say(n=order["n"], ok=True, **await actor.obey(order))
        except QuietwireError as error:
            say(n=order["n"], ok=False, error=str(error))
    await client.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(listening, 2.0)
    truth.close()


if __name__ == "__main__":
    asyncio.run(run())
