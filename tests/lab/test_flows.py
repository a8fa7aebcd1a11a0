from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from packets import CLIENT, SERVER, Session, ethernet, pcap, pcapng, tls

from quietwire.lab.flows import Flow, flows, make
from quietwire.lab.trace import LinkWriter, TraceError


def trace(path: Path) -> Path:
    writer = LinkWriter(path, "client-network.alice")
    writer.open(10.0, "L1", "192.0.2.1", "a.example")
    writer.record(10.1, "L1", "up", "plain", 30)
    writer.open(10.2, "L2", "192.0.2.2", "a.example")
    writer.record(10.3, "L2", "down", "app", 7)
    writer.record(10.2, "L1", "down", "handshake", 90)
    writer.record(11.5, "L1", "up", "app", 100)
    writer.open(12.0, "L3", "192.0.2.2", "a.example")
    writer.end(12.0, "L1", reset=False)
    writer.close()
    return path


def columns(flow: Flow) -> list[tuple[float, int, int]]:
    return list(zip(flow.times.tolist(), flow.sizes.tolist(), flow.ways.tolist(), strict=True))


def test_a_link_trace(tmp_path: Path) -> None:
    first, second = flows(trace(tmp_path / "t.jsonl"))  # L3 carried nothing
    assert (first.link, second.link) == ("L1", "L2")
    assert columns(first) == [(10.1, 30, 1), (10.2, 90, -1), (11.5, 100, 1)]
    assert columns(second) == [(10.3, 7, -1)]
    assert (first.times.dtype, first.sizes.dtype, first.ways.dtype) == (np.float64, np.int32, np.int8)
    assert (len(first), first.bytes(1), first.bytes(-1)) == (3, 130, 90)
    assert first.seconds == pytest.approx(1.4)


def test_only_some_types(tmp_path: Path) -> None:
    first, second = flows(trace(tmp_path / "t.jsonl"), only=("app",))
    assert columns(first) == [(11.5, 100, 1)]
    assert len(second) == 1
    session = Session().opens().says(CLIENT, tls(22, 9) + tls(23, 5))
    (tmp_path / "x.pcap").write_bytes(pcap([(time, ethernet(packet)) for time, packet in session.packets]))
    (flow,) = flows(tmp_path / "x.pcap", only={"app"})
    assert flow.sizes.tolist() == [5]
    assert flows(tmp_path / "x.pcap", only={"alert"}) == []


def test_a_part(tmp_path: Path) -> None:
    flow = flows(trace(tmp_path / "t.jsonl"))[0]
    assert columns(flow.between(10.2, 11.5)) == [(10.2, 90, -1)]
    empty = flow.between(0.0, 1.0)
    assert (len(empty), empty.seconds) == (0, 0.0)


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_captures(tmp_path: Path, form: object) -> None:
    session = Session().opens().says(CLIENT, tls(22, 400)).says(SERVER, tls(22, 90) + tls(23, 1000), cut=500)
    frames = [(time, ethernet(packet)) for time, packet in session.packets]
    (tmp_path / "x").write_bytes(form(frames))  # type: ignore[operator]
    (flow,) = flows(tmp_path / "x")
    assert flow.link == "192.0.2.1:40000>198.51.100.7:5222"
    assert columns(flow) == [(1000.5, 400, 1), (1000.75, 90, -1), (1000.75, 1000, -1)]


def test_what_is_at_the_same_time_keeps_its_order() -> None:
    flow = make("L", [2.0, 1.0, 2.0, 1.0], [1, 2, 3, 4], [1, 1, -1, -1])
    assert columns(flow) == [(1.0, 2, 1), (1.0, 4, -1), (2.0, 1, 1), (2.0, 3, -1)]


HEAD = '{"trace":"link","version":1,"place":"p","clock":"epoch seconds"}\n'
RECORD = '{"id":1,"time":1.5,"event":"record","link":"L","direction":"up","type":"app","size":5}\n'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither a link trace"),
        (b"hello", "neither a link trace"),
        (b"{}", "not a link trace"),
        (b'{"trace":"stanza","version":1}', "not a link trace"),
        ((HEAD + "{").encode(), "line 2"),
        ((HEAD + "[]\n").encode(), "line 2"),
        ((HEAD + RECORD.replace("1.5", "NaN")).encode(), "record 1: a time, size or direction that cannot be"),
        ((HEAD + RECORD.replace("1.5", "1e999")).encode(), "record 1: a time"),
        ((HEAD + RECORD.replace('"up"', '"sideways"')).encode(), "record 1: a time, size or direction"),
        ((HEAD + RECORD.replace('"size":5', '"size":-5')).encode(), "record 1: a time, size"),
        ((HEAD + RECORD.replace('"size":5', '"size":5000000000')).encode(), "record 1: a time, size"),
        ((HEAD + RECORD.replace('"size":5', '"size":1e999')).encode(), "OverflowError"),
        ((HEAD + RECORD.replace('"size":5', '"bytes":5')).encode(), "record 1"),
        (HEAD.encode() + b"\xff\xfe\n", "UnicodeDecodeError"),
        (b'{"trace":' + b"[" * 100_000, "Recursion|line 1"),
    ],
)
def test_what_follows_no_format_is_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(TraceError, match=why) as caught:
        flows(tmp_path / "t")
    assert "\n" not in str(caught.value)


def test_any_damage_to_a_trace_has_a_defined_answer(tmp_path: Path) -> None:
    whole = trace(tmp_path / "t.jsonl").read_bytes()
    rng = random.Random(1)
    outcomes = set()
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 34, 45, 57, 101, 125, 255, rng.randrange(256)))
        (tmp_path / "d").write_bytes(damaged)
        try:
            flows(tmp_path / "d")
        except TraceError:
            outcomes.add("refused")
        else:
            outcomes.add("read")
    assert outcomes == {"refused", "read"}
