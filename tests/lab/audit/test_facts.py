from __future__ import annotations

from quietwire.lab.audit.facts import CATEGORIES, MEANS, Facts, bare, pairs


def test_each_thing_counts_once() -> None:
    facts = Facts()
    for place in ("here", "there"):
        facts.add("messages", "anna@x.example", "ben@x.example", "Hello", place)
    facts.add("messages", "anna@x.example", "ben@x.example", "Hello again")
    assert facts.counts()["messages"] == 2
    assert facts.of("messages")[0].place == "here"


def test_contacts_count_as_pairs_in_whatever_state_they_were_found() -> None:
    facts = Facts()
    for state in ("none", "to", "both"):
        facts.add("contacts", "anna@x.example", "ben@x.example", state)
    assert facts.counts()["contacts"] == 1


def test_pairs_are_of_two_bare_addresses() -> None:
    facts = Facts()
    facts.add("messages", "anna@x.example/phone", "Ben@x.example")
    facts.add("messages", "anna@x.example", "anna@x.example/desk")
    facts.add("messages", "#1234", "ben@x.example")
    facts.add("messages", "x.example", "ben@x.example")
    assert pairs(facts.of("messages")) == {frozenset(("anna@x.example", "ben@x.example"))}
    assert bare("Anna@x.example/Phone") == "anna@x.example"


def test_every_category_says_what_it_means() -> None:
    assert set(MEANS) == set(CATEGORIES)


def test_all_of_it_can_be_searched() -> None:
    facts = Facts()
    facts.add("groups", "anna@x.example", "Friends", "ben@x.example")
    assert all(word in facts.texts() for word in ("anna@x.example", "Friends", "ben@x.example"))
