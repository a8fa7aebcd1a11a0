from __future__ import annotations

from names import records


def test_every_host_is_found_at_its_port() -> None:
    zone = records({"one.example": 5270, "two.example": 5271})
    assert zone["_xmpps-server._tcp.two.example", "SRV"] == ["5 10 5271 localhost."]
    assert zone["localhost", "A"] == ["127.0.0.1"]
