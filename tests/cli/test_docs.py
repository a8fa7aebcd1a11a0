from __future__ import annotations

from pathlib import Path

from quietwire.cli.docs import main
from quietwire.server.inventory import markdown
from quietwire.server.modules import discover


def test_writes_the_inventory_of_all_modules(tmp_path: Path) -> None:
    main([str(tmp_path / "xeps.md")])
    assert (tmp_path / "xeps.md").read_text("utf-8") == markdown(discover())
