"""What arrives, from the stanza to the event. One message after the other, each in one transaction with its ratchet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from xml.etree.ElementTree import Element

from quietwire.client import gathered, payloads, sce, state
from quietwire.client.events import ChatState, Correction, Event, Failed, Retraction, Sent, Undecryptable, Unencrypted
from quietwire.client.omemo2 import Duplicate, Omemo, Turn, Unreadable
from quietwire.client.omemo_xml import DEVICES, OmemoXmlError, is_empty
from quietwire.client.pubsub import notified
from quietwire.client.stanzas import Incoming, bare, incoming, stanza_error
from quietwire.client.trust import Trust


class Reader:
    """`tell` gets the events, `post` adds what a turn has to send, `heard` is told whose device list is fresh."""

    def __init__(
        self,
        jid: str,
        keys: Omemo,
        *,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        post: Callable[[Turn], None],
        heard: Callable[[str], None],
    ) -> None:
        self._jid = jid
        self._keys = keys
        self._clock = clock
        self._tell = tell
        self._post = post
        self._heard = heard

    async def read(self, stanza: Element) -> None:
        """One message. Raises RequestError if the network kept it from being read: worth another try."""
        devices = notified(stanza, DEVICES)
        if devices is not None:
            await self._devices_came(bare(stanza.get("from")) or self._jid, devices)
            return
        message = incoming(stanza, self._jid)
        if message is None:
            return
        if message.element.get("type") == "error":
            if not message.own:
                condition = stanza_error(message.element)
                self._tell(Failed(peer=message.sender, id=message.id, condition=condition))
            return
        encrypted = message.encrypted
        if encrypted is not None:
            await self._encrypted_came(message, encrypted)
        elif message.body is not None and not message.own:
            self._tell(Unencrypted(sender=message.sender, id=message.id, text=message.body))

    async def _devices_came(self, jid: str, devices: Element) -> None:
        async with self._keys.turn() as turn:
            try:
                await turn.update(jid, devices)
            except OmemoXmlError:
                return
            self._heard(jid)

    async def _encrypted_came(self, message: Incoming, encrypted: Element) -> None:
        try:
            async with self._keys.turn() as turn:
                decrypted = await turn.decrypt(encrypted, message.sender)
                if decrypted.plaintext is not None:
                    understood = self._understand(turn, message, decrypted.plaintext, decrypted.device, decrypted.trust)
                    turn.after.extend(partial(self._tell, event) for event in understood)
                self._post(turn)
        except Duplicate:
            return
        except Unreadable as failure:
            # Not worth a word: empty messages between other devices, and copies of what our others sent before this
            # one was there.
            elsewhere = failure.reason == "not-for-this-device" and (message.own or is_empty(encrypted))
            if not elsewhere:
                lost = Undecryptable(sender=message.sender, id=message.id, reason=failure.reason)
                self._tell(lost)

    def _understand(self, turn: Turn, message: Incoming, plaintext: bytes, device: int, trust: Trust) -> list[Event]:
        try:
            envelope = sce.unseal(plaintext, sender=message.sender)
        except sce.EnvelopeError:
            return [Undecryptable(sender=message.sender, id=message.id, reason="forged")]
        stamp = envelope.stamp if envelope.stamp is not None else message.delayed or self._clock()
        peer = message.to if message.own else message.sender
        origin = payloads.Origin(message.sender, peer, device, trust, envelope.id or message.id, stamp)
        if gathered.marked(envelope.content):
            state.note_gathers(turn.batch, message.sender, device)
        understood: list[Event] = []
        for event in payloads.read_all(envelope.content, origin):
            if isinstance(event, ChatState) and message.delayed is not None:
                continue  # kept by a server that cannot know what it is; nobody is typing any more
            if isinstance(event, Correction | Retraction) and not self._may_change(turn, event):
                continue
            state.remember(turn.batch, event, own=message.own)
            understood.append(Sent(what=event) if message.own else event)
        return understood

    def _may_change(self, turn: Turn, event: Correction | Retraction) -> bool:
        """Not what the other side wrote (XEP-0308 §Security Considerations). What we do not have, we cannot judge."""
        other = event.peer if event.sender == self._jid else self._jid
        return not state.wrote(turn.batch, event.peer, other, event.ref)
