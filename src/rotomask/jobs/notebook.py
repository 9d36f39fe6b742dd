"""Progress of jobs in notebooks: a bar for each stage, below the cell."""

import functools
import html
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

SECONDS_BETWEEN_UPDATES = 0.2

Function = TypeVar("Function", bound=Callable[..., Any])


def in_notebook() -> bool:
    """True if this code runs in a notebook's cell. Nothing is imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


def shows_bars(function: Function) -> Function:
    """Decorator of a job: in a notebook it shows bars, unless `on_progress` is given."""

    @functools.wraps(function)
    def job(*arguments: Any, **keywords: Any) -> Any:
        if keywords.get("on_progress") is None and in_notebook():
            keywords["on_progress"] = NotebookBars()
        return function(*arguments, **keywords)

    return cast(Function, job)


class NotebookBars:
    """Bars that a job moves: what jobs take as `on_progress`."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[int, int | None, float, str]] = {}
        self._shown: Any = None
        self._updated = 0.0

    def __call__(self, stage: str, done: int, total: int | None, *, note: str = "") -> None:
        """Move the bar of a stage, with a note beside it: see `OnProgress`."""
        began = self._stages[stage][2] if stage in self._stages else time.monotonic()
        self._stages[stage] = (done, total, began, note)
        now = time.monotonic()
        if done == total or now - self._updated >= SECONDS_BETWEEN_UPDATES:
            self._updated = now
            self._show()

    def _repr_html_(self) -> str:
        """The bars, one below the other."""
        rows = []
        for stage, (done, total, began, note) in self._stages.items():
            seconds = time.monotonic() - began
            rate = f"{done / seconds:.1f}/s" if done and seconds > 0 else ""
            of = "" if total is None else f' value="{done}" max="{total}"'
            count = f"{done}" if total is None else f"{done}/{total}"
            rows.append(
                f"<div><code>{html.escape(stage):8}</code> "
                f"<progress{of}></progress> "
                f"<code>{count} {rate} {html.escape(note)}</code></div>"
            )
        return "".join(rows)

    def _show(self) -> None:
        from IPython.display import display

        if self._shown is None:
            self._shown = display(self, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._shown.update(self)
