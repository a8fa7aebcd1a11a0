"""Files: what is said of them is understood, and what is encrypted is opened or refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.client import events, files, payloads, sce
from quietwire.client.files import FileError, Opener, Shared, describe, encrypt, safe_name, uploaded_size
from quietwire.client.trust import Trust

KEY, IV = bytes(range(32)), bytes(range(12))


def shared(content: bytes, *, inside: bool = False) -> Shared:
    where = (
        {"content": base64.b64encode(content).decode()}
        if inside
        else {
            "url": "https://up.example/upload/x/y",
            "key": base64.b64encode(KEY).decode(),
            "iv": base64.b64encode(IV).decode(),
        }
    )
    digest = files.digest_of([content])
    return Shared(name="a b.png", size=len(content), media="image/png", digest=digest, **where)


@pytest.mark.parametrize("inside", [True, False])
def test_what_is_said_is_understood(inside: bool) -> None:
    said = shared(b"x" * 500, inside=inside)
    assert files.understand(describe(said)) == said
    origin = payloads.Origin("a@x.example", "a@x.example", 7, Trust.BLIND, "id", 2.0)
    event = payloads.read(payloads.file(said), origin)
    assert isinstance(event, events.File)
    assert files.shared_of(event) == said
    envelope = sce.seal(payloads.file(said), sender="a@x.example", id="1" * 32, stamp=1.0, random=bytes)
    assert files.understand(sce.unseal(envelope, sender="a@x.example").content) == said


def test_the_largest_small_file_is_in_the_class_that_it_was_chosen_for() -> None:
    said = shared(b"\xff" * files.SMALL, inside=True)
    name = "n" * files.LONGEST_NAME
    said = Shared(**{**vars(said), "name": name, "media": "application/" + "x" * 60})
    envelope = sce.seal(
        payloads.file(said), sender="somebody@a-long-domain.example", id="1" * 32, stamp=1.0, random=bytes
    )
    assert len(envelope) == 16384 - 1


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://up.example/x"},
        {"url": "file:///etc/passwd"},
        {"key": "AAAA"},
        {"iv": "no base64"},
        {"digest": "AAAA"},
    ],
)
def test_what_could_not_be_fetched_is_no_offer(change: dict[str, str]) -> None:
    assert files.understand(describe(Shared(**{**vars(shared(b"x")), **change}))) is None


def test_a_file_that_is_said_has_the_size_that_is_said() -> None:
    said = Shared(**{**vars(shared(b"xyz", inside=True)), "size": 4})
    assert files.understand(describe(said)) is None
    assert files.understand([]) is None


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
        (".bashrc", "bashrc"),
        ("a\x1b[2Jb\n.txt", "a[2Jb.txt"),
        ("", "file"),
        ("...", "file"),
        ("x" * 300, "x" * files.LONGEST_NAME),
    ],
)
def test_names_steer_nothing(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.binary(min_size=1, max_size=40_000), st.integers(1, 9000), st.integers(1, 40_000))
def test_what_is_encrypted_is_opened_and_has_the_length_of_its_class(content: bytes, cut: int, other: int) -> None:
    encrypted = b"".join(encrypt([content[:other], content[other:]], len(content), KEY, IV))
    assert len(encrypted) == uploaded_size(len(content)) == uploaded_size(1) or len(content) > 32_768
    got = bytearray()
    opener = Opener(shared(content), got.extend)
    for at in range(0, len(encrypted), cut):
        opener.add(encrypted[at : at + cut])
    opener.finish()
    assert bytes(got) == content


def test_one_changed_bit_one_lost_byte_and_another_file_are_refused() -> None:
    content = b"content" * 100
    encrypted = b"".join(encrypt([content], len(content), KEY, IV))
    other = Shared(**{**vars(shared(content)), "digest": files.digest_of([b"another"])})
    longer = Shared(**{**vars(shared(content)), "size": len(encrypted) + 1})
    for offered, data in (
        (shared(content), bytes([encrypted[0] ^ 1]) + encrypted[1:]),
        (shared(content), encrypted[:-1]),
        (shared(content), b""),
        (other, encrypted),
        (longer, encrypted),
    ):
        opener = Opener(offered, lambda _: None)
        opener.add(data)
        with pytest.raises(FileError, match="not what was offered"):
            opener.finish()


@pytest.mark.parametrize("size", [3, 100])
def test_a_file_that_changes_while_it_is_read(size: int, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="changed"):
        list(encrypt([b"x" * 10, b"y" * 10], size, KEY, IV))
