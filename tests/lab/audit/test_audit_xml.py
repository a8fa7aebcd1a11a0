from __future__ import annotations

from quietwire.lab.audit.xml import of_text


def test_elements_attributes_and_text() -> None:
    found = of_text("<message to='b'><x:body xmlns:x='y'>a &lt; b</x:body><e/></message>")
    assert found is not None
    assert found.attributes == {"to": "b"}
    body = found.first("body")
    assert body is not None
    assert body.text == "a < b"
    assert found.words() == "b y a < b"


def test_what_is_cut_off_counts_as_far_as_it_goes() -> None:
    found = of_text("<message><body>Hel")
    assert found is not None
    assert found.first("body") is not None


def test_what_follows_does_not_matter() -> None:
    found = of_text("<a b='c'/>\0\0\0")
    assert found is not None
    assert found.name == "a"


def test_what_is_no_xml_is_nothing() -> None:
    assert of_text("no element") is None
    assert of_text("") is None


def test_entities_are_not_expanded() -> None:
    bomb = "<!DOCTYPE a [<!ENTITY b 'cccc'><!ENTITY d '&b;&b;'>]><a>&d;</a>"
    found = of_text(bomb)
    assert found is not None
    assert len(found.text) <= 8
