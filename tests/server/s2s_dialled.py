"""What another server says that we have called, and what we say to it."""

from __future__ import annotations

from quietwire.server.s2s import Failure

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='a.example' to='b.example' version='1.0' xml:lang='en'>"
)
ANSWER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='b.example' to='a.example' id='x' version='1.0'>"
)
TLS = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
EXTERNAL = (
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms></stream:features>"
)
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>YS5leGFtcGxl</auth>"
CLOSING = "</stream:stream>"
DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"


def failed(state: str, *, permanent: bool = False) -> Failure:
    return Failure("remote-server-timeout", state, permanent)


def offering(*features: str) -> str:
    return f"<stream:features>{''.join(features)}</stream:features>"
