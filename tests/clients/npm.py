"""Packages of npm that drivers need, of fixed versions, installed into a cache of the user's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PATIENCE = 300.0
"""Seconds for a registry to hand out a hundred megabytes."""


def installed(*packages: str) -> Path:
    """`name@version`, … -> the folder whose `node_modules` has them. Needs a registry the first time. Raises
    CalledProcessError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quietwire-clients"
    folder = cache / "+".join(package.strip("@").replace("/", "-") for package in packages)
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", *packages]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
        (folder / "whole").touch()
    return folder
