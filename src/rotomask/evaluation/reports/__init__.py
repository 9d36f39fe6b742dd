"""Reports of an evaluation: terminal tables, CSV, LaTeX and HTML.

from rich.console import Console
from rotomask.evaluation.reports import result_tables, save_reports

Console().print(result_tables(result))
save_reports(result, html="report.html", csv="tables", latex="table.tex",
             dataset=dataset, results="masks")
"""

from rotomask.evaluation.reports.page import html_page
from rotomask.evaluation.reports.saving import ReportFiles, save_reports
from rotomask.evaluation.reports.tables import latex_by_object, latex_table, write_csv
from rotomask.evaluation.reports.terminal import result_tables

__all__ = [
    "ReportFiles",
    "html_page",
    "latex_by_object",
    "latex_table",
    "result_tables",
    "save_reports",
    "write_csv",
]
