"""The database: one DuckDB file that any client may read, and that one writer adds to.

`Store` is what a run writes through, `reader` what everything else reads through.
"""

from sweep.results.query import Answer, ask, open_for_reading, read_rows
from sweep.results.schema import OUTCOME_COLUMNS, StoreError
from sweep.results.store import Store

__all__ = [
    "OUTCOME_COLUMNS",
    "Answer",
    "Store",
    "StoreError",
    "ask",
    "open_for_reading",
    "read_rows",
]
