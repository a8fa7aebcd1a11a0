from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from quietwire.lab.audit import sql, sqlite_file
from quietwire.lab.audit.facts import Facts, pairs

HELLO = '<message from="ben@x.example/r" to="anna@x.example"><body>Hello</body></message>'
PROSODY = f"""
CREATE TABLE `prosody` (`host` TEXT NOT NULL, `user` TEXT, `store` TEXT, `key` TEXT, `type` TEXT, `value` MEDIUMTEXT);
CREATE TABLE `prosodyarchive` (`sort_id` INTEGER PRIMARY KEY AUTOINCREMENT, `host` TEXT, `user` TEXT, `store` TEXT,
 `key` TEXT, `when` INTEGER, `with` TEXT, `type` TEXT, `value` MEDIUMTEXT);
INSERT INTO prosody VALUES ('x.example', 'anna', 'accounts', '', 'json', '{{"stored_key": "s"}}');
INSERT INTO prosody VALUES ('x.example', 'anna', 'roster', 'ben@x.example', 'json', '{{"subscription": "both"}}');
INSERT INTO prosodyarchive (host, user, store, key, "when", "with", type, value)
 VALUES ('x.example', 'anna', 'archive', 'k', 1795259439, 'ben@x.example', 'xml', '{HELLO}');
"""
EJABBERD = f"""
CREATE TABLE users (username text PRIMARY KEY, password text NOT NULL, salt text NOT NULL, created_at timestamp);
CREATE TABLE rosterusers (username text NOT NULL, jid text NOT NULL, nick text NOT NULL, subscription character(1),
 ask character(1) NOT NULL, askmessage text NOT NULL);
CREATE TABLE rostergroups (username text NOT NULL, jid text NOT NULL, grp text NOT NULL);
CREATE TABLE archive (username text NOT NULL, timestamp BIGINT UNSIGNED NOT NULL, peer text, bare_peer text, xml text,
 txt text, id INTEGER PRIMARY KEY AUTOINCREMENT, kind text, nick text);
CREATE TABLE muc_room (name text NOT NULL, host text NOT NULL, opts mediumtext NOT NULL);
INSERT INTO users VALUES ('anna', 'stored', 'salt', '2026-11-21 11:10:39');
INSERT INTO rosterusers VALUES ('anna', 'ben@x.example', 'Benny', 'B', 'N', '');
INSERT INTO rostergroups VALUES ('anna', 'ben@x.example', 'Friends');
INSERT INTO archive (username, timestamp, bare_peer, xml) VALUES ('anna', 1795259439000000, 'ben@x.example', '{HELLO}');
INSERT INTO muc_room VALUES ('den', 'm.example',
 '[{{title,<<"Den">>}},{{affiliations,[{{{{<<"ben">>,<<"x.example">>,<<>>}},owner}}]}}]');
"""


def read(path: Path, script: str) -> Facts:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()
    file = sqlite_file.read(path.read_bytes())
    assert file is not None
    facts = Facts()
    assert sql.observe(file, facts, "a.sqlite") == ("CREATE TABLE notes" not in script)
    return facts


@pytest.mark.parametrize("script", [PROSODY, EJABBERD])
def test_accounts_contacts_and_messages(tmp_path: Path, script: str) -> None:
    facts = read(tmp_path / "a", script)
    assert facts.of("accounts")[0].what.startswith("anna")
    assert facts.of("passwords")[0].what == "SCRAM verifier"
    assert facts.of("contacts")[0].what == "ben@x.example"
    assert pairs(facts.of("messages")) == {frozenset(("anna@x.example", "ben@x.example"))}
    assert "Hello" in facts.of("messages")[0].more


def test_groups_and_members(tmp_path: Path) -> None:
    facts = read(tmp_path / "a", EJABBERD)
    assert facts.of("groups")[0].what == "Friends"
    assert facts.of("members")[0].what == "ben@x.example"


def test_other_tables_are_read_as_text(tmp_path: Path) -> None:
    facts = read(tmp_path / "a", "CREATE TABLE notes (a, b); INSERT INTO notes VALUES (1, 'ask anna@x.example');")
    assert "anna@x.example" in facts.of("strings")[0].what


def test_columns_of_a_statement() -> None:
    statement = 'CREATE TABLE a (`id` INTEGER, "b" decimal(3, 2) NOT NULL, [c] text, PRIMARY KEY (id, b))'
    assert sql.columns(statement) == ["id", "b", "c"]
