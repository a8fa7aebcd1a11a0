"""What is said where the libraries of an extra are not installed."""

from __future__ import annotations


def needs(what: str, extra: str) -> str:
    """One line. `what` is needed; `extra`: of pyproject.toml, installed from the clone as README does it."""
    return f"this needs {what}; where Quietwire was cloned: pip install '.[{extra}]'"
