"""The database: one DuckDB file that any client may read, and that one writer adds to.

`Store` is what a run writes through; `ask` (a user's SQL) and `open_for_reading` (ours) read.
"""

from sweep.results.query import Answer, ask, open_for_reading, read_rows
from sweep.results.schema import OUTCOME_COLUMNS, StoreError, spool_folder, told_errors
from sweep.results.store import Store

__all__ = [
    "OUTCOME_COLUMNS",
    "Answer",
    "Store",
    "StoreError",
    "ask",
    "open_for_reading",
    "read_rows",
    "spool_folder",
    "told_errors",
]
