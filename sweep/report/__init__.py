"""The report of a study: one HTML file with its answer, its figures and the SQL behind them.

`write_report` reads a database and writes the file. figures.py lists the figures; each kind has a
file with its query and its plots; page.py puts them into page.html, which draw.js draws.
`write_figure` writes one of them alone, for a paper, and `figures_of_study` tells their names.
"""

from sweep.report.paper import FigureFile, figures_of_study, write_figure
from sweep.report.write import FigureWritten, Written, write_report

__all__ = [
    "FigureFile",
    "FigureWritten",
    "Written",
    "figures_of_study",
    "write_figure",
    "write_report",
]
