from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from quietwire.cli.app import run

sys.path.insert(0, str(Path(__file__).parents[1] / "lab" / "audit"))
from vault import BEN, KEY, Vault


def audited(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(["audit", "disk", *arguments])
    return int(ended.value.code or 0)


def test_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    Vault(data)
    key, canaries, guesses, out = (tmp_path / name for name in ("key", "canaries", "guesses", "out.json"))
    key.write_bytes(KEY.key)
    key.chmod(0o600)
    canaries.write_text("Moles!\n")
    guesses.write_text(f"{BEN.decode()}\n\nnobody@x.example\n")
    options = ["--server-key", str(key), "--canary", str(canaries), "--guess", str(guesses), "--json", str(out)]
    assert audited(str(data), *options) == 0
    assert "Canaries: 1 of 1 found" in capsys.readouterr().out
    told = json.loads(out.read_text())
    assert told["server_key"] == "opened"
    assert told["left"]["guessed"] == ["ben@x.example: account, push, item, sealed"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing"], "there is nothing"),
        (["data", "--server-key", "wrong"], "not the key of this database"),
        (["data", "--server-key", "no-such-file"], "no such file"),
        (["data", "--server-key", "prompt"], "--server-key"),
        (["data", "--canary", "short"], "6 characters"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Vault(Path("data"))
    Path("wrong").write_bytes(bytes(32))
    Path("wrong").chmod(0o600)
    Path("short").write_text("abc\n")
    assert audited(*arguments) == 1
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1
