"""What a client is offered before and after login."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from quietwire.core import ns
from quietwire.testing.playbook import Client, Playbook

HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>"
MAX = "{urn:xmpp:stream-limits:0}limits/{urn:xmpp:stream-limits:0}max-bytes"


def features(client: Client) -> Element:
    client >> HEADER
    (offered,) = client.take()
    assert isinstance(offered, Element)
    return offered


def test_before_tls_only_tls() -> None:
    offered = features(Playbook().connect(secure=False))
    assert [each.tag for each in offered] == [f"{{{ns.TLS}}}starttls"]


def test_both_forms_of_login_offer_the_same_and_say_what_they_can_be_bound_to() -> None:
    offered = features(Playbook().connect())
    first = [each.text for each in offered.findall(f"{{{ns.SASL}}}mechanisms/*")]
    second = [each.text for each in offered.findall("{urn:xmpp:sasl:2}authentication/{urn:xmpp:sasl:2}mechanism")]
    assert first == second == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]
    assert [each.get("type") for each in offered.iter("{urn:xmpp:sasl-cb:0}channel-binding")] == [
        "tls-server-end-point"
    ]
    inline = offered.find("{urn:xmpp:sasl:2}authentication/{urn:xmpp:sasl:2}inline")
    assert inline is not None
    assert inline.find("{urn:xmpp:sm:3}sm") is not None
    assert [each.text for each in inline.iter("{urn:xmpp:fast:0}mechanism")] == ["HT-SHA-256-ENDP", "HT-SHA-256-NONE"]


def test_fast_is_offered_where_there_are_tokens() -> None:
    offered = features(Playbook(token_seconds=0).connect())
    assert next(offered.iter("{urn:xmpp:fast:0}fast"), None) is None


def test_limits_grow_with_trust() -> None:
    play = Playbook(accounts=["alice"])
    client = play.connect()
    assert features(client).findtext(MAX) == str(play.server.settings.unauthenticated_bytes)
    client >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
    client.take()
    after = features(client)
    assert after.findtext(MAX) == str(play.server.settings.limits.stanza_bytes)
    assert after.find(f"{{{ns.BIND}}}bind") is not None
    assert after.find(f"{{{ns.SASL}}}mechanisms") is None


def test_what_a_session_has_is_not_offered_again() -> None:
    """@xmpp/client would switch stream management on a second time."""
    play = Playbook(accounts=["alice"])
    for along, offered in (
        ("", {"bind", "sm"}),
        ("<bind xmlns='urn:xmpp:bind:0'/>", {"sm"}),
        ("<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3'/></bind>", set()),
    ):
        client = play.connect()
        client.sign_in("alice", along)
        _, after = client.take()
        assert isinstance(after, Element)
        found = {name for name in ("bind", "sm") for each in after if each.tag.endswith(f"}}{name}")}
        assert found == offered
