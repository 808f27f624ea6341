"""The results database: one DuckDB file that any client may read, and that one writer adds to.

A run writes through `Store`. `answer_query` reads for a user's SQL; `open_for_reading` and
`read_rows` read for this program's own.
"""

from sweep.results.differences import Difference, Differences, Rows, find_differences
from sweep.results.errors import StoreError, told_errors
from sweep.results.file import spool_folder
from sweep.results.outputs import check_output_file
from sweep.results.query import Answer, answer_query, as_answer
from sweep.results.reading import copy_of, open_for_reading, read_rows, read_table
from sweep.results.row_files import read_row_files, write_row_files
from sweep.results.schema import (
    MODEL_VERSION,
    OUTCOME_COLUMNS,
    RUN_VALUES,
    SCENARIO_VALUES,
    TABLES,
    Row,
)
from sweep.results.store import RunStore, Store, name_aside

__all__ = [
    "MODEL_VERSION",
    "OUTCOME_COLUMNS",
    "RUN_VALUES",
    "SCENARIO_VALUES",
    "TABLES",
    "Answer",
    "Difference",
    "Differences",
    "Row",
    "Rows",
    "RunStore",
    "Store",
    "StoreError",
    "answer_query",
    "as_answer",
    "check_output_file",
    "copy_of",
    "find_differences",
    "name_aside",
    "open_for_reading",
    "read_row_files",
    "read_rows",
    "read_table",
    "spool_folder",
    "told_errors",
    "write_row_files",
]
