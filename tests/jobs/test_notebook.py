"""Bars of notebooks; tests/test_notebook.py runs them in a real one."""

from rotomask.jobs.notebook import NotebookBars, in_notebook


class Quiet(NotebookBars):
    """Bars outside a notebook: nothing is displayed."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0

    def _show(self) -> None:
        self.updates += 1


def test_a_stage_is_a_bar():
    bars = Quiet()
    for done in range(101):
        bars("cut", done, 100)
    bars("find <it>", 3, None, note="loss < 1")
    page = bars._repr_html_()
    assert page.count("<progress") == 2
    assert '<progress value="100" max="100">' in page
    assert "100/100" in page
    assert "find &lt;it&gt;" in page
    assert "loss &lt; 1" in page
    assert 1 <= bars.updates < 100, "not a message a frame"


def test_no_bars_outside_a_notebook():
    assert not in_notebook()
