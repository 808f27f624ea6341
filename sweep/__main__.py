"""``python -m sweep``, and `sweep`: the command line, which a signal ends from its first moment."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

# `python -m` puts the current folder first, where a file such as duckdb.py would be imported in
# place of the package. Only in a checkout of this project is it needed.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != _ROOT:
    del sys.path[0]


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process where nothing is begun: the command line has an answer of its own."""
    says = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    try:
        os.write(2, f"{says}: nothing is written\n".encode())
    finally:
        os._exit(128 + number)


def main() -> None:
    """Run the command line, which takes its time to import."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from sweep.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
