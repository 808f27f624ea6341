"""The report of a study: one HTML file with its answer, its figures and the SQL behind them.

`write_report` reads a database and writes the file. Data flows one way: queries.py says what is
asked, systems.py, slices.py and marked.py draw it, page.py puts it into page.html.
"""

from sweep.report.write import Written, write_report

__all__ = ["Written", "write_report"]
