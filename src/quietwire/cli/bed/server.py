"""A server with recording ports: ``python -m quietwire.cli.bed.server --config FILE --record TRACE``.

`quietwire serve` has no switch that records. This composition is the laboratory's; it ends when its standard input
does, so that it never outlives the test bed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import typer

from quietwire.cli.config import load
from quietwire.cli.serve import run
from quietwire.core.errors import QuietwireError
from quietwire.lab.recorder import Recorder
from quietwire.lab.trace import StanzaWriter


def _end_with_parent() -> None:
    # Not sys.stdin: its lock, held by a thread that never returns, breaks the interpreter's end.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(config: Path = typer.Option(...), record: Path = typer.Option(...)) -> None:
    try:
        loaded = load(config)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        writer = StanzaWriter(record, f"live-server.{loaded.domain}", time.time)
        run(loaded, Recorder(writer).wrap)
        writer.close()
    except QuietwireError as error:
        print(f"quietwire: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
