"""The results database: one DuckDB file that any client may read, and that one writer adds to.

A run writes through `Store`. `answer_query` reads for a user's SQL; `open_for_reading` and
`read_rows` read for this program's own.
"""

from sweep.results.file import StoreError, spool_folder, told_errors
from sweep.results.query import Answer, answer_query
from sweep.results.reading import copy_of, open_for_reading, read_rows, read_table
from sweep.results.schema import OUTCOME_COLUMNS, Row
from sweep.results.store import Store

__all__ = [
    "OUTCOME_COLUMNS",
    "Answer",
    "Row",
    "Store",
    "StoreError",
    "answer_query",
    "copy_of",
    "open_for_reading",
    "read_rows",
    "read_table",
    "spool_folder",
    "told_errors",
]
