"""`python -m quietwire.cli.docs [FOLDER]`: writes the generated documentation: ``xeps.md``, and of ``configuration.md``
the section of the modules' settings. The folder is ``docs`` by default."""

from __future__ import annotations

import sys
from pathlib import Path

from quietwire.server.inventory import SETTINGS_BEGIN, markdown, settings
from quietwire.server.modules import discover


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0] if arguments else "docs")
    modules = discover()
    (folder / "xeps.md").write_text(markdown(modules), encoding="utf-8")
    page = folder / "configuration.md"
    written = page.read_text(encoding="utf-8").partition(SETTINGS_BEGIN)[0]
    page.write_text(written + settings(modules), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
