"""What is advised can be done."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from quietwire.cli.extras import needs

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_it_is_one_line_that_installs_from_the_clone() -> None:
    line = needs("numpy", "lab")
    assert line == "this needs numpy; where Quietwire was cloned: pip install '.[lab]'"


@pytest.mark.parametrize("module", ["client", "lab_attack", "lab_correlation", "lab_flows", "lab_study"])
def test_each_extra_is_one_of_the_projects(module: str) -> None:
    found = re.search(r"pip install '\.\[(\w+)\]'$", import_module(f"quietwire.cli.{module}").MISSING)
    assert found is not None
    assert found[1] in PROJECT["optional-dependencies"]
