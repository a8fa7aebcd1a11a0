from __future__ import annotations

from dataclasses import replace

import pytest

from quietwire.client.errors import StoreError
from quietwire.client.keys import MEMORY_KIB, FromKeyring, Passphrase, new_lock, open_lock


class FakeKeyring:
    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service_name: str, username: str) -> str | None:
        return self.entries.get((service_name, username))

    def set_password(self, service_name: str, username: str, password: str) -> None:
        self.entries[service_name, username] = password


def counted(n: int) -> bytes:
    return bytes(range(n))


def test_the_passphrase_opens_and_another_does_not() -> None:
    lock, master = new_lock(Passphrase("open"), counted)
    assert open_lock(lock, Passphrase("open")) == master
    with pytest.raises(StoreError, match="wrong passphrase"):
        open_lock(lock, Passphrase("Open"))


def test_it_costs_64_mib() -> None:
    lock, master = new_lock(Passphrase("open"), counted)
    assert lock.memory_kib == MEMORY_KIB >= 64 * 1024
    assert master not in lock.wrapped


@pytest.mark.parametrize("change", [{"memory_kib": 2**21}, {"time_cost": 99}, {"memory_kib": 8}, {"time_cost": 0}])
def test_parameters_of_a_tampered_file_are_bounded(change: dict[str, int]) -> None:
    lock, _ = new_lock(Passphrase("open"), counted)
    with pytest.raises(StoreError, match="out of bounds"):
        open_lock(replace(lock, **change), Passphrase("open"))  # type: ignore[arg-type]


def test_weaker_parameters_do_not_open() -> None:
    lock, _ = new_lock(Passphrase("open"), counted)
    with pytest.raises(StoreError, match="wrong"):
        open_lock(replace(lock, time_cost=1), Passphrase("open"))


def test_the_keyring_opens() -> None:
    keyring = FakeKeyring()
    lock, master = new_lock(FromKeyring(keyring, "a@x.example"), counted)
    assert open_lock(lock, FromKeyring(keyring, "a@x.example")) == master
    with pytest.raises(StoreError, match="no key"):
        open_lock(lock, FromKeyring(FakeKeyring(), "a@x.example"))
    with pytest.raises(StoreError, match="not a passphrase"):
        open_lock(lock, Passphrase("x"))


def test_a_system_without_a_keyring_says_what_to_do() -> None:
    from keyring.backends.fail import Keyring as NoKeyring

    with pytest.raises(StoreError, match="give the store a passphrase"):
        new_lock(FromKeyring(NoKeyring(), "a@x.example"), counted)


def test_a_second_store_takes_the_same_entry() -> None:
    keyring = FakeKeyring()
    first, _ = new_lock(FromKeyring(keyring, "a"), counted)
    new_lock(FromKeyring(keyring, "a"), counted)
    open_lock(first, FromKeyring(keyring, "a"))


def test_a_passphrase_is_not_shown() -> None:
    assert "secret" not in repr(Passphrase("secret"))
