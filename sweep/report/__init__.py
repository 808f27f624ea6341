"""The report of a study: one HTML file with its answer, its figures and the SQL behind them.

`write_report` reads a database and writes the file. figures.py lists the figures; each kind has a
file with its query and its plots; page.py puts them into page.html, which draw.js draws.
"""

from sweep.report.write import Written, write_report

__all__ = ["Written", "write_report"]
