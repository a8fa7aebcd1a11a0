from __future__ import annotations

from pathlib import Path

from quietwire.cli.docs import main
from quietwire.server.inventory import markdown, settings
from quietwire.server.modules import discover


def test_writes_the_inventory_of_all_modules_and_their_settings(tmp_path: Path) -> None:
    page = tmp_path / "configuration.md"
    page.write_text("# Configuration\n\nwritten by hand\n\n## `[modules.NAME]`\n\nold\n")
    main([str(tmp_path)])
    assert (tmp_path / "xeps.md").read_text("utf-8") == markdown(discover())
    assert page.read_text("utf-8") == "# Configuration\n\nwritten by hand\n\n" + settings(discover())
    main([str(tmp_path)])
    assert page.read_text("utf-8").count("[modules.NAME]") == 1
