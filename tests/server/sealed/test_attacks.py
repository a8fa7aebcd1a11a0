"""What somebody does who can write on the disk of a whole server, and what its users see of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quietwire.core import ns
from quietwire.seal.keys import AccountKeys
from quietwire.server.accounts import ARRIVALS, CREDENTIALS
from quietwire.server.admin import AdminError
from quietwire.server.modules.findings import text
from quietwire.server.sealed.seals import BEGUN
from quietwire.testing.playbook import Client, Playbook, nothing

ALICE, MALLORY = b"alice@a.example", b"mallory@a.example"
NAMES = ("romeo", "juliet", "nurse")
ROSTER = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
NOT_ARCHIVED = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
Rows = dict[bytes, bytes]


class Disk:
    """A stopped server's, and its next start."""

    def __init__(self) -> None:
        play = Playbook(accounts=["alice", "mallory"])
        for name in ("alice", "mallory"):
            client = play.client(f"{name}/phone")
            for contact in NAMES:
                item = f"<item jid='{contact}@b.example' name='{name}s {contact}'/>"
                client >> f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
            client >> (
                "<iq type='set' id='2'><block xmlns='urn:xmpp:blocking'><item jid='tybalt@b.example'/></block></iq>"
            )
            client >> (
                "<iq type='set' id='3'><query xmlns='jabber:iq:private'><storage xmlns='storage:rosternotes'>"
                f"{'n' * 6_000}</storage></query></iq>"
            )
        self.play = play
        self.restart()

    def restart(self) -> None:
        """The server is killed when all is written, and started again."""
        former = self.play
        former.settle()
        self.play = Playbook(storage=former.storage.crash())
        self.play._numbers = former._numbers

    # -- the attacker's hands

    def rows(self, table: str, owner: bytes) -> Rows:
        return dict(self.play.storage.scan(table, self.play.server.seals.owner(table, owner)).result())

    def set(self, table: str, owner: bytes, key: bytes, row: bytes | None) -> None:
        hashed = self.play.server.seals.owner(table, owner)
        if row is None:
            self.play.storage.delete(table, hashed, key)
        else:
            self.play.storage.put(table, hashed, key, row)

    def contact(self, owner: bytes, number: int = 0) -> bytes:
        """Key of a row, which the attacker would have to guess."""
        return self.keys(owner).key(b"roster", f"{NAMES[number]}@b.example".encode())

    def keys(self, owner: bytes) -> AccountKeys:
        name = owner.partition(b"@")[0].decode()
        probe = Playbook(storage=self.play.storage.crash())
        probe.client(f"{name}/probe")
        unlocked = probe.server.keyring.get(owner)
        assert unlocked is not None
        again = self.play.storage.crash()
        self.play._numbers, numbers = probe._numbers, self.play._numbers
        self.play = Playbook(storage=again)
        self.play._numbers = numbers
        return AccountKeys(bytearray(unlocked.keys.secret))

    # -- what is seen

    def isolated(self) -> int:
        return sum(int(facts["count"]) for event, facts in self.play.notes if event == "sealed-rows-isolated")

    def log_in(self, name: str) -> tuple[Client, list[str]]:
        """-> the client, and the contacts it is shown."""
        client = self.play.client(f"{name}/phone")
        client >> ROSTER
        [answer] = client.take()
        return client, sorted(item.get("name", "") for item in answer.iter("{jabber:iq:roster}item"))  # type: ignore[union-attr]


def told(client: Client) -> list[str]:
    """The messages that come once their recipient is there."""
    client >> "<presence/>"
    messages = [each for each in client.take() if getattr(each, "tag", "") == f"{{{ns.CLIENT}}}message"]
    return [each.findtext(f"{{{ns.CLIENT}}}body", "") for each in messages]  # type: ignore[union-attr]


def whole(name: str, *missing: int) -> list[str]:
    return sorted(f"{name}s {contact}" for number, contact in enumerate(NAMES) if number not in missing)


def flip(disk: Disk) -> int:
    key = disk.contact(ALICE)
    row = disk.rows("sealed", ALICE)[key]
    disk.set("sealed", ALICE, key, row[:100] + bytes([row[100] ^ 1]) + row[101:])
    return 1


def flip_the_nonce(disk: Disk) -> int:
    key = disk.contact(ALICE)
    row = disk.rows("sealed", ALICE)[key]
    disk.set("sealed", ALICE, key, row[:1] + bytes([row[1] ^ 1]) + row[2:])
    return 1


def swap_with_a_dummy(disk: Disk) -> int:
    rows, key = disk.rows("sealed", ALICE), disk.contact(ALICE)
    keys = disk.keys(ALICE)
    own = {keys.key(b"manifest", b"")} | {disk.contact(ALICE, number) for number in range(len(NAMES))}
    other = next(key for key in rows if key not in own)
    disk.set("sealed", ALICE, key, rows[other])
    disk.set("sealed", ALICE, other, rows[key])
    return 2


def of_another_account(disk: Disk) -> int:
    disk.set("sealed", ALICE, disk.contact(ALICE), disk.rows("sealed", MALLORY)[disk.contact(MALLORY)])
    return 1


def older(disk: Disk) -> int:
    key = disk.contact(ALICE)
    row = disk.rows("sealed", ALICE)[key]
    alice, _ = disk.log_in("alice")
    item = "<item jid='romeo@b.example' name='blocked since'/>"
    alice >> f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    disk.restart()
    disk.set("sealed", ALICE, key, row)
    return 1


def removed(disk: Disk) -> int:
    disk.set("sealed", ALICE, disk.contact(ALICE), None)
    return 1


def truncated(disk: Disk) -> int:
    key = disk.contact(ALICE)
    disk.set("sealed", ALICE, key, disk.rows("sealed", ALICE)[key][:20])
    return 1


def emptied(disk: Disk) -> int:
    disk.set("sealed", ALICE, disk.contact(ALICE), b"")
    return 1


def grown(disk: Disk) -> int:
    key = disk.contact(ALICE)
    disk.set("sealed", ALICE, key, disk.rows("sealed", ALICE)[key] + bytes(1_000_000))
    return 1


def of_another_version(disk: Disk) -> int:
    key = disk.contact(ALICE)
    disk.set("sealed", ALICE, key, b"\x63" + disk.rows("sealed", ALICE)[key][1:])
    return 1


def under_the_servers_key(disk: Disk) -> int:
    """By somebody who has that, too."""
    key, seals = disk.contact(ALICE), disk.play.server.seals
    disk.set("sealed", ALICE, key, seals.seal_server("sealed", ALICE, key, bytes(224)))
    return 1


ATTACKS = (
    flip, flip_the_nonce, swap_with_a_dummy, of_another_account, older, removed, truncated, emptied, grown,
    of_another_version, under_the_servers_key,
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_one_contact_is_lost_the_owner_is_told_and_all_else_works(attack: Callable[[Disk], int]) -> None:
    disk = Disk()
    count = attack(disk)
    alice, contacts = disk.log_in("alice")
    assert contacts == whole("alice", 0)
    assert disk.isolated() == count
    assert told(alice) == [text(count)]
    item = "<item jid='romeo@b.example' name='again'/>"
    alice >> f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    disk.restart()
    alice, contacts = disk.log_in("alice")
    assert contacts == sorted([*whole("alice", 0), "again"])
    mallory, contacts = disk.log_in("mallory")
    assert contacts == whole("mallory")
    assert (told(alice), told(mallory), disk.isolated()) == ([], [], 0)


def test_foreign_rows() -> None:
    disk = Disk()
    for number, row in enumerate(disk.rows("sealed", MALLORY).values()):
        disk.set("sealed", ALICE, bytes([number]) * 16, row)
    disk.set("body", ALICE, b"f" * 16, b"\x01" + bytes(9_000))
    alice, contacts = disk.log_in("alice")
    count = len(disk.rows("sealed", MALLORY)) + 1
    assert (contacts, disk.isolated(), told(alice)) == (whole("alice"), count, [text(count)])
    disk.restart()
    alice, contacts = disk.log_in("alice")
    assert (contacts, disk.isolated(), told(alice)) == (whole("alice"), 0, [])


def test_a_large_row() -> None:
    disk = Disk()
    [(key, row)] = disk.rows("body", ALICE).items()
    disk.set("body", ALICE, key, row[:-1] + bytes([row[-1] ^ 1]))
    alice, contacts = disk.log_in("alice")
    ask = "<iq type='get' id='p'><query xmlns='jabber:iq:private'><storage xmlns='storage:rosternotes'/></query></iq>"
    alice >> ask
    [answer] = alice.take()
    assert "n" * 10 not in (answer[0][0].text or "")  # type: ignore[index]
    assert (contacts, disk.isolated(), told(alice)) == (whole("alice"), 1, [text(1)])


@pytest.mark.parametrize("how", [None, b"", b"\x01" + bytes(508), b"other"])
def test_the_manifest(how: bytes | None) -> None:
    disk = Disk()
    if how == b"other":
        how = disk.rows("sealed", MALLORY)[disk.keys(MALLORY).key(b"manifest", b"")]
    disk.set("sealed", ALICE, disk.keys(ALICE).key(b"manifest", b""), how)
    alice, contacts = disk.log_in("alice")
    assert (contacts, disk.isolated(), told(alice)) == (whole("alice"), 1, [text(1)])


def test_an_older_manifest() -> None:
    """With its rows as they are now: those that were written since are not those it lists."""
    disk = Disk()
    key = disk.keys(ALICE).key(b"manifest", b"")
    row = disk.rows("sealed", ALICE)[key]
    alice, _ = disk.log_in("alice")
    item = "<item jid='romeo@b.example' name='renamed'/>"
    alice >> f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    disk.restart()
    disk.set("sealed", ALICE, key, row)
    alice, contacts = disk.log_in("alice")
    assert contacts == whole("alice", 0)
    assert disk.isolated() >= 1
    assert len(told(alice)) == 1


def test_a_whole_account_of_some_time_ago_is_not_noticed() -> None:
    """As docs/protocols/sealed-store.md says."""
    disk = Disk()
    former = {table: disk.rows(table, ALICE) for table in ("sealed", "body", "account")}
    alice, _ = disk.log_in("alice")
    item = "<item jid='romeo@b.example' name='renamed'/>"
    alice >> f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    disk.restart()
    for table, rows in former.items():
        for key in disk.rows(table, ALICE):
            disk.set(table, ALICE, key, None)
        for key, row in rows.items():
            disk.set(table, ALICE, key, row)
    alice, contacts = disk.log_in("alice")
    assert (contacts, disk.isolated(), told(alice)) == (whole("alice"), 0, [])


@pytest.mark.parametrize("how", ["mallory's", "removed", "none"])
def test_the_public_key_for_what_comes(how: str) -> None:
    disk = Disk()
    seals = disk.play.server.seals
    key = seals.keys.key("account", seals.owner("account", ALICE), ARRIVALS)
    if how == "removed":
        disk.set("account", ALICE, key, None)
    else:  # by somebody who has the server's key
        forged = disk.keys(MALLORY).arrival_public() if how == "mallory's" else bytes(32)
        disk.play.server.store.put("account", ALICE, ARRIVALS, forged + BEGUN)
    disk.restart()
    mallory, _ = disk.log_in("mallory")
    mallory >> f"<message to='alice@a.example' type='chat'><body>to whom</body>{NOT_ARCHIVED}</message>"
    disk.restart()
    alice, contacts = disk.log_in("alice")
    assert (contacts, disk.isolated()) == (whole("alice"), 1)
    first = told(alice)
    assert text(1) in first
    # What was sealed to another key is lost to her, and she is told that, too.
    assert ("to whom" in first, text(1) in told(alice)) == ((False, True) if how == "mallory's" else (True, False))
    alice >> "<presence type='unavailable'/>"
    mallory, _ = disk.log_in("mallory")
    mallory >> "<message to='alice@a.example' type='chat'><body>sealed to her</body></message>"
    disk.restart()
    alice, _ = disk.log_in("alice")
    assert disk.isolated() == 0
    assert "sealed to her" in told(alice)


def test_a_verifier_under_anothers_name() -> None:
    disk = Disk()
    seals = disk.play.server.seals
    keys = {owner: seals.keys.key("account", seals.owner("account", owner), CREDENTIALS) for owner in (ALICE, MALLORY)}
    disk.set("account", ALICE, keys[ALICE], disk.rows("account", MALLORY)[keys[MALLORY]])
    disk.restart()
    refused(disk)


def test_a_verifier_that_was_sealed_anew_under_anothers_name() -> None:
    """With the server's key: mallory's password is right, and opens nothing of alice."""
    disk = Disk()
    store = disk.play.server.store
    record = store.get("account", MALLORY, CREDENTIALS).result()
    assert record is not None
    store.put("account", ALICE, CREDENTIALS, record)
    disk.restart()
    client = disk.play.connect().header()
    client >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
    client << f"<failure xmlns='{ns.SASL}'><temporary-auth-failure/></failure>"
    assert disk.play.server.keyring.get(ALICE) is None
    disk.log_in("mallory")


@pytest.mark.parametrize("row", [b"", b"\x03" + bytes(508), b"\x01" + bytes(508), b"\x02" + bytes(508), b"\x63"])
def test_damaged_credentials_are_their_accounts_alone(row: bytes) -> None:
    disk = Disk()
    seals = disk.play.server.seals
    disk.set("account", ALICE, seals.keys.key("account", seals.owner("account", ALICE), CREDENTIALS), row)
    disk.restart()
    assert disk.isolated() == 1
    refused(disk)


def refused(disk: Disk) -> None:
    client = disk.play.connect().header()
    client >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
    client << f"<failure xmlns='{ns.SASL}'><temporary-auth-failure/></failure>"
    client << nothing
    with pytest.raises(AdminError):  # nobody takes its name
        disk.play.run(disk.play.server.admin.add("alice", "mallory's password"))
    mallory, contacts = disk.log_in("mallory")
    assert (contacts, told(mallory)) == (whole("mallory"), [])
    mallory >> "<message to='alice@a.example' type='chat'><body>hello</body></message>"
    mallory << nothing
