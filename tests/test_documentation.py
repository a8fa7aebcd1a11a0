"""The documentation against the code: every key of the configuration with its default; links lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from quietwire.cli.config import Certificate, Config, Override
from quietwire.server.module import Setting
from quietwire.server.modules import discover

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
REQUIRED = "must be given"
_ROW = re.compile(r"^\| `([\w.-]+)` \| (.+?) \| (.+) \|$")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def documented() -> dict[str, str]:
    """Key with its table -> default as the page says it."""
    found: dict[str, str] = {}
    table = ""
    for line in (ROOT / "docs/configuration.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = re.fullmatch(r"## `\[([^\]]+)\]`", line)
            table = f"{title[1]}." if title else ""
        row = _ROW.match(line)
        if row:
            key = table + row[1]
            assert key not in found, f"{key} stands there twice"
            assert len(row[3]) > 1
            found[key] = row[2]
    return found


def written(value: Any) -> str:
    """A default as TOML in backticks; nothing is 'none'."""
    if value is None:
        return "none"
    text = json.dumps(str(value) if isinstance(value, Path) else value)
    assert tomllib.loads(f"x = {text}")
    return f"`{text}`"


def fields(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, str]]:
    """(key with its table, default as the page must say it) of all that the configuration file may hold."""
    for name, field in model.model_fields.items():
        default = field.default
        if isinstance(default, BaseModel):
            yield from fields(type(default), f"{table}{name}.")
        elif name == "modules":
            for module in discover():
                for setting in module.handlers:
                    if isinstance(setting, Setting):
                        yield f"modules.NAME.{module.name}.{setting.key}", written(setting.default)
        elif name == "override":
            yield from fields(Override, f'{table}override."DOMAIN".')
        elif name == "domains":
            yield from fields(Certificate, f'{table}domains."DOMAIN".')
        else:
            yield table + name, REQUIRED if field.is_required() else written(default)


def test_the_page_has_every_key_with_its_default() -> None:
    assert documented() == dict(fields(Config))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_module_in_the_architecture_is_the_real_one() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    code = (ROOT / "src/quietwire/server/modules/xep0199_ping.py").read_text(encoding="utf-8")
    assert f"```python\n{code}```" in page


def test_functions_that_the_architecture_names_exist() -> None:
    """Each `Class.method` of the page, and each file."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    source = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
    methods = set(re.findall(r"\b(?:[a-z]\w*\.)?([A-Z]\w+)\.(_?[a-z]\w+)\b", page))
    assert len(methods) > 10
    for owner, method in methods:
        of_class = [text for text in source.values() if re.search(rf"^class {owner}\b", text, re.MULTILINE)]
        assert any(re.search(rf"^    (async )?def {method}\b", text, re.MULTILINE) for text in of_class), (
            owner,
            method,
        )
    for folder, name in set(re.findall(r"\b(core|net|server|store|shaping|seal|modules|client)/(\w+\.py)\b", page)):
        assert any(path.parent.name == folder and path.name == name for path in source), f"{folder}/{name}"


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("[0-9]*.md"):
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert f"- [{title}]({page.name})" in index


def test_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    for target in set(targets.split()) - {"help", "clean"}:
        assert f'"make {target} ' in makefile


def test_tests_that_pages_name_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"`(tests/(?!X/)[\w/.]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{page.name} names {name}"
