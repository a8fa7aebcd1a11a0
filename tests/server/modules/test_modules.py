from __future__ import annotations

import pkgutil
import subprocess
import sys

from quietwire.server import modules
from quietwire.server.module import IqGet, IqSet
from quietwire.server.modules import discover
from quietwire.store.ports import LOGICAL


def test_every_file_is_a_module_and_they_come_by_name() -> None:
    found = discover()
    assert len(found) == len(list(pkgutil.iter_modules(modules.__path__)))
    assert [module.name for module in found] == sorted({module.name for module in found})


def test_nobody_answers_what_another_module_answers() -> None:
    tags = [(type(h), h.tag) for m in discover() for h in m.handlers if isinstance(h, IqGet | IqSet)]
    assert len(set(tags)) == len(tags)


def test_what_is_kept_names_a_table_that_is_needed() -> None:
    for module in discover():
        for kept in module.keeps:
            assert kept.table in (*LOGICAL, "spool", "arrival")
            if kept.table != "arrival":  # `server/presence.py` and others keep them for modules
                assert (kept.table if kept.table in ("spool", "archive") else "store") in module.needs


def test_the_list_alone_imports_no_feature() -> None:
    code = "import sys, quietwire.server.modules; print([n for n in sys.modules if '.modules.' in n])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
