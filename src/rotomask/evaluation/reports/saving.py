"""Writing of several reports in one call."""

from dataclasses import dataclass
from pathlib import Path

from rotomask.data.sequences import VideoDataset
from rotomask.evaluation.reports.page import html_page
from rotomask.evaluation.reports.tables import latex_by_object, latex_table, write_csv
from rotomask.evaluation.results import EvaluationResult
from rotomask.files import complete_or_absent


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Files that scores are written to; None: not written."""

    json: str | Path | None = None
    """All figures and curves; `read_result` reads it."""
    csv: str | Path | None = None
    """Folder of two CSV files in the layout of the davis2017 tool."""
    latex: str | Path | None = None
    """Two tables: the global figures and the figures by object."""
    html: str | Path | None = None
    """HTML page with charts and the worst frames."""

    def save(self, result: EvaluationResult, dataset: VideoDataset, results: str | Path) -> None:
        """Write them; of a result without figures the JSON alone.

        Raises:
            OutputError: If one cannot be written.
        """
        if result.figures:
            files = {"json": self.json, "csv": self.csv, "latex": self.latex, "html": self.html}
            save_reports(result, **files, dataset=dataset, results=results)
        else:
            save_reports(result, json=self.json)


def save_reports(
    result: EvaluationResult,
    *,
    json: str | Path | None = None,
    csv: str | Path | None = None,
    latex: str | Path | None = None,
    html: str | Path | None = None,
    dataset: VideoDataset | None = None,
    results: str | Path | None = None,
) -> tuple[Path, ...]:
    """Write the reports whose path is given.

    Args:
        result: A result of `evaluate_results`.
        json: File of all figures and curves; `read_result` reads it.
        csv: Folder of two CSV files in the layout of the davis2017 tool.
        latex: File of two tables: the global figures and the figures by object.
        html: File of the HTML page.
        dataset: The data set, for images of the worst frames in the page.
        results: The folder of result masks, for images of the worst frames.

    Returns:
        The files that were written.

    Raises:
        OutputError: If one cannot be written.
    """
    written: list[Path] = []
    if json is not None:
        result.to_json(json)
        written.append(Path(json))
    if csv is not None:
        written += write_csv(result, csv)
    if latex is not None:
        _write(Path(latex), latex_table(result) + "\n" + latex_by_object(result))
        written.append(Path(latex))
    if html is not None:
        _write(Path(html), html_page(result, dataset=dataset, results=results))
        written.append(Path(html))
    return tuple(written)


def _write(path: Path, text: str) -> None:
    with complete_or_absent(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
