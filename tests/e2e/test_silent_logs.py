"""A whole run with the log at its loudest: nothing that anybody said, is called or asked for stands in it."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from pathlib import Path

from loopback import Served, free_port
from test_abuse import HEADER, Peer

from quietwire.core import ns

NAME = "zilpzalp"
GUEST = "gimpelgast"
WORD = "canary"
"""In every text, name, nickname, title and identifier below."""
MUC = "http://jabber.org/protocol/muc"
SUBMIT = "<x xmlns='jabber:x:data' type='submit'/>"
ROOM = f"{WORD}den@conference.a.example"

REQUESTS = [
    f"<query xmlns='jabber:iq:roster'><item jid='{WORD}@x.example' name='{WORD}'/></query>",
    f"<vCard xmlns='vcard-temp'><FN>{WORD}</FN></vCard>",
    f"<query xmlns='jabber:iq:private'><{WORD} xmlns='urn:{WORD}'/></query>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
    f"<publish node='urn:{WORD}'><item id='{WORD}'><a xmlns='urn:a'>{WORD}</a></item></publish></pubsub>",
    f"<block xmlns='urn:xmpp:blocking'><item jid='{WORD}@x.example'/></block>",
    f"<query xmlns='urn:xmpp:mam:2' queryid='{WORD}'/>",
    f"<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><before>{WORD}</before></set></query>",
    f"<enable xmlns='urn:xmpp:push:0' jid='{WORD}.example' node='{WORD}'/>",
    f"<{WORD} xmlns='urn:{WORD}'/>",
]
STANZAS = [
    f"<message to='{NAME}@a.example' type='chat' id='{WORD}'><body>{WORD}</body></message>",
    f"<message to='{WORD}@a.example' type='chat'><body>{WORD}</body></message>",
    f"<message to='{WORD}@{WORD}.example' type='chat'><body>{WORD}</body></message>",
    f"<message to='@@{WORD}'><body>{WORD}</body></message>",
    f"<presence to='{WORD}@a.example' type='subscribe'><status>{WORD}</status></presence>",
    f"<presence to='{ROOM}/{WORD}'><x xmlns='{MUC}'><password>{WORD}</password></x></presence>",
    f"<iq type='set' id='c' to='{ROOM}'><query xmlns='{MUC}#owner'>{SUBMIT}</query></iq>",
    f"<message to='{ROOM}' type='groupchat'><body>{WORD}</body></message>",
    f"<message to='{ROOM}' type='groupchat'><subject>{WORD}</subject></message>",
    f"<iq type='set' id='k' to='{ROOM}'><query xmlns='{MUC}#admin'><item nick='{WORD}' role='none'><reason>{WORD}"
    "</reason></item></query></iq>",
    f"<iq type='set' id='m' to='{ROOM}'><query xmlns='urn:xmpp:mam:2' queryid='{WORD}'/></iq>",
    f"<iq type='get' id='u' to='a.example'><request xmlns='urn:xmpp:http:upload:0' filename='{WORD}.jpg' size='1000'"
    " content-type='image/jpeg'/></iq>",
    f"<iq type='result' id='{WORD}'/>",
    f"<a xmlns='urn:xmpp:sm:3' h='{WORD}'/>",
]
"""The last ends the stream, and is not a number."""


def refused(served: Served) -> None:
    """Logins that fail."""
    peer = Peer(served)
    peer.ask(HEADER, b"</stream:features>")
    for text in (f"\0{NAME}\0{WORD}", f"\0{WORD}\0{WORD}", f"{WORD}\0{NAME}\0{WORD}"):
        secret = base64.b64encode(text.encode())
        peer.ask(b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (ns.SASL.encode(), secret), b"</failure>")
    broken = Peer(served)
    broken.socket.sendall(f"<{WORD}><{WORD}".encode())
    elsewhere = Peer(served)
    elsewhere.socket.sendall(HEADER.replace(b"a.example", f"{WORD}.example".encode()))
    elsewhere.last_words()


def registers(served: Served, token: str) -> None:
    """An account by invitation, then everything that its owner says on one stream."""
    peer = Peer(served)
    peer.ask(HEADER, b"</stream:features>")
    peer.ask(f"<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>".encode(), b"id='p'")
    peer.ask(
        f"<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>{GUEST}</username>"
        f"<password>{WORD * 3}</password></query></iq>".encode(),
        b"id='reg'",
    )


def page(served: Served, port: int, path: str) -> bytes:
    plain = socket.create_connection(("127.0.0.1", port))
    with served.context().wrap_socket(plain, server_hostname="a.example") as web:
        web.sendall(
            f"GET {path} HTTP/1.1\r\nHost: a.example\r\nUser-Agent: {WORD}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        try:
            while piece := web.recv(65_536):
                answer += piece
        except (OSError, ssl.SSLError):
            pass
    return answer


def test_nothing_that_anybody_says_is_in_the_log(tmp_path: Path) -> None:
    served = Served(tmp_path, [NAME])
    assert served.stop() == 0
    port = free_port()
    text = (
        served.config.read_text().replace("https = 0", f"https = {port}").replace("enabled = false", "enabled = true")
    )
    served.config.write_text(text + '[federation.override."canary.example"]\nhost = "127.0.0.1"\nport = 1\n')
    served.start()
    tokens = []
    try:
        uri = served.command("invite")
        tokens = re.findall(r"[A-Za-z0-9_-]{16,}", uri)
        link = re.search(r"https://[^/\s]+(/\S+)", uri)
        assert link is not None, uri
        assert b"200" in page(served, port, link[1]).split(b"\r\n")[0]
        page(served, port, f"/{WORD}?{WORD}={WORD}")
        preauth = re.search(r"preauth=([\w-]+)", uri)
        registers(served, preauth[1] if preauth else link[1].rpartition("/")[2])
        refused(served)
        peer = Peer(served).log_in(NAME)
        peer.socket.sendall(b"<presence><status>canary</status></presence>")
        for number, payload in enumerate(REQUESTS):
            for kind in ("set", "get"):
                id = f"{kind}{number}"
                peer.ask(f"<iq type='{kind}' id='{id}'>{payload}</iq>".encode(), f"id='{id}'".encode())
        for stanza in STANZAS[:-1]:
            peer.socket.sendall(stanza.encode())
        peer.ask(b"<iq type='get' id='done' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>", b"id='done'")
        assert ROOM in served.command("room", "list")
        peer.socket.sendall(STANZAS[-1].encode())
        assert b"<policy-violation" in peer.last_words()
        assert GUEST in served.command("account", "show", GUEST)
        served.command("account", "delete", NAME, "--yes")
    finally:
        assert served.stop() == 0
    log = served.log.read_text()
    assert "event='login-refused'" in log
    assert "event='stream-error'" in log
    assert "fault" not in log, log
    said = [word for word in (WORD, NAME, GUEST, "@", "127.0.0.1", *tokens) if word.lower() in log.lower()]
    assert not said, [line for line in log.splitlines() if any(word.lower() in line.lower() for word in said)]
