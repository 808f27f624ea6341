"""``python -m sweep``: the command line."""

import sys
from pathlib import Path

# Python puts the current folder first, where a file such as duckdb.py would be imported in place of
# the package. Only in a checkout of this project is it needed.
if sys.path[0] == str(Path.cwd()) != str(Path(__file__).parents[1]):
    del sys.path[0]

from sweep.cli.main import main

if __name__ == "__main__":
    main()
