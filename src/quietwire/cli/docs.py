"""`python -m quietwire.cli.docs [FILE]`: writes the generated documentation, ``docs/xeps.md`` by default."""

from __future__ import annotations

import sys
from pathlib import Path

from quietwire.server.inventory import markdown
from quietwire.server.modules import discover


def main(arguments: list[str]) -> None:
    target = Path(arguments[0] if arguments else "docs/xeps.md")
    target.write_text(markdown(discover()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
