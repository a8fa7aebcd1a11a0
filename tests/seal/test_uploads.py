"""Uploaded files as bytes: what is written is read, nothing else is, and sizes tell little."""

from __future__ import annotations

import pytest

from quietwire.seal.uploads import (
    CHUNK_BYTES,
    HEAD_BYTES,
    LONGEST_TYPE,
    NAME_BYTES,
    SALT_BYTES,
    SMALLEST,
    TAG_BYTES,
    TOKEN_BYTES,
    Damaged,
    Head,
    Reader,
    Writer,
    chunks_of,
    name_of,
    size_class,
)

TOKEN = bytes(range(TOKEN_BYTES))
SALT = bytes(SALT_BYTES)
SIZES = [0, 1, CHUNK_BYTES - HEAD_BYTES - 1, CHUNK_BYTES - HEAD_BYTES, CHUNK_BYTES, 3 * CHUNK_BYTES + 5]


def content(size: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(size))


def written(size: int, *, piece: int = 10_000, token: bytes = TOKEN, salt: bytes = SALT) -> bytes:
    writer = Writer(token, salt, Head(size, 77, "image/png"))
    data = content(size)
    out = writer.start + b"".join(writer.write(data[at : at + piece]) for at in range(0, size, piece))
    return out + b"".join(writer.finish())


def chunk(file: bytes, number: int) -> bytes:
    return file[Reader.where(number) :][: CHUNK_BYTES + TAG_BYTES]


def read(file: bytes, first: int, stop: int, token: bytes = TOKEN) -> bytes:
    reader = Reader(token, file[:SALT_BYTES])
    return b"".join(reader.content(n, chunk(file, n), first, stop) for n in chunks_of(first, stop))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1_000, CHUNK_BYTES, 1 << 20])
def test_what_is_written_is_read(size: int, piece: int) -> None:
    file = written(size, piece=piece)
    assert Reader(TOKEN, file[:SALT_BYTES]).head(chunk(file, 0)) == Head(size, 77, "image/png")
    assert read(file, 0, size) == content(size)


def test_any_range_is_read_from_its_chunks_alone() -> None:
    size = 3 * CHUNK_BYTES
    file, data = written(size), content(size)
    edges = [0, 1, CHUNK_BYTES - HEAD_BYTES - 1, CHUNK_BYTES - HEAD_BYTES, CHUNK_BYTES, 2 * CHUNK_BYTES + 3, size]
    for first in edges:
        for stop in edges:
            if first <= stop:
                assert read(file, first, stop) == data[first:stop]
    assert list(chunks_of(0, 1)) == [0]
    assert list(chunks_of(CHUNK_BYTES - HEAD_BYTES, CHUNK_BYTES)) == [1]
    assert not chunks_of(5, 5)


@pytest.mark.parametrize("size", SIZES)
def test_the_file_has_the_size_of_its_class(size: int) -> None:
    plain = size_class(HEAD_BYTES + size)
    chunks = -(-plain // CHUNK_BYTES)
    assert len(written(size)) == SALT_BYTES + plain + chunks * TAG_BYTES


def test_classes_are_few_and_cost_little() -> None:
    assert size_class(1) == size_class(SMALLEST) == SMALLEST
    previous = 0
    for size in range(SMALLEST, 5 << 20, 997):
        there = size_class(size)
        assert size <= there <= size * 1.12
        assert size_class(there) == there
        assert there >= previous
        previous = there
    assert len({size_class(size) for size in range(1 << 20, 2 << 20, 101)}) <= 33


def test_name_and_token_tell_nothing_of_each_other() -> None:
    assert len(name_of(TOKEN)) == NAME_BYTES
    assert name_of(TOKEN) != name_of(TOKEN[:-1] + b"\0")
    file = written(100)
    assert TOKEN not in file
    assert name_of(TOKEN) not in file


def test_the_same_content_is_another_file_each_time() -> None:
    assert written(100)[SALT_BYTES:] != written(100, salt=b"\1" * SALT_BYTES)[SALT_BYTES:]


def test_without_the_token_nothing_is_read() -> None:
    with pytest.raises(Damaged):
        read(written(100), 0, 100, token=bytes(TOKEN_BYTES))


def test_chunks_cannot_be_changed_moved_or_cut() -> None:
    file = written(3 * CHUNK_BYTES)
    reader = Reader(TOKEN, file[:SALT_BYTES])
    for wrong in (chunk(file, 1), chunk(file, 2)[:-1], chunk(file, 2)[:-1] + b"\0", b""):
        with pytest.raises(Damaged):
            reader.content(2, wrong, 0, 3 * CHUNK_BYTES)
    with pytest.raises(Damaged):
        Reader(TOKEN, b"short")


def test_more_than_was_announced_is_refused() -> None:
    writer = Writer(TOKEN, SALT, Head(1, 77, ""))
    with pytest.raises(ValueError, match="announced"):
        writer.write(bytes(size_class(HEAD_BYTES + 1) - HEAD_BYTES + 1))


def test_the_longest_type_fits() -> None:
    writer = Writer(TOKEN, SALT, Head(0, 77, "a" * LONGEST_TYPE))
    file = writer.start + b"".join(writer.finish())
    assert Reader(TOKEN, SALT).head(chunk(file, 0)).type == "a" * LONGEST_TYPE
