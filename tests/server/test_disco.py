from __future__ import annotations

from quietwire.core.xml import build, serialise
from quietwire.server.disco import account_info, info, items, server_info, with_forms
from quietwire.server.module import Module

A = Module("a", None, ("f2", "f1"), (), (), "", account_features=("mine",), identities=(("pubsub", "pep", ""),))
B = Module("b", None, ("f1",), (), (), "")


def test_the_server_has_all_features_once_and_those_of_accounts_not() -> None:
    found = server_info((A, B))
    assert found.identities == (("server", "im", "Quietwire"),)
    assert found.features == ("f1", "f2")


def test_an_account_has_its_own_besides() -> None:
    found = account_info((A, B))
    assert found.identities == (("account", "registered", ""), ("pubsub", "pep", ""))
    assert found.features == ("f1", "f2", "mine")


def test_a_query_repeats_the_node_and_leaves_out_empty_names() -> None:
    made = info((("client", "pc", "N&M"), ("account", "registered", "")), ("x",))
    assert serialise(made.query("n"), "") == (
        b"<query xmlns='http://jabber.org/protocol/disco#info' node='n'>"
        b"<identity category='account' type='registered'/><identity category='client' type='pc' name='N&amp;M'/>"
        b"<feature var='x'/></query>"
    )
    assert b"node=" not in serialise(made.query(), "")


def test_items() -> None:
    assert serialise(items(({"jid": "a@b", "node": "n"},)), "") == (
        b"<query xmlns='http://jabber.org/protocol/disco#items'><item jid='a@b' node='n'/></query>"
    )
    assert serialise(items((), "n"), "") == b"<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>"


def test_modules_may_show_forms_made_from_their_settings() -> None:
    shown = Module("c", None, (), (), (), "", form=lambda all, own: build(own["tag"], {"n": str(len(all))}))
    modules = with_forms((A, shown), {"c": {"tag": "{urn:f}x"}})
    assert modules[0] is A
    assert b"<x xmlns='urn:f' n='2'/></query>" in serialise(server_info(modules).query(), "")
    assert not account_info(modules).forms
