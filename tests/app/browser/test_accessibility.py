"""axe-core finds nothing serious, in the dark and in the light, wide and narrow."""

from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.driver import Driver
from tests.app.browser.process import Server
from tests.clips import write_clip

pytestmark = pytest.mark.slow
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(driver: Driver) -> list[str]:
    """What axe-core calls serious or critical: rule and elements."""
    driver.page.evaluate(AXE)
    found = driver.page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes:"
        " ['violations']}).then(r => r.violations.map(v => ({id: v.id, impact: v.impact,"
        " nodes: v.nodes.slice(0, 4).map(n => n.target.join(' ') + ' ' + n.failureSummary)})))",
        RULES,
    )
    return [f"{v['id']}: {v['nodes']}" for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 360])
def test_no_serious_violations_on_any_screen(
    chromium: Any, server: Server, tmp_path: Path, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    driver = Driver(context.new_page(), server)
    page = driver.page
    driver.open()
    assert violations(driver) == []
    driver.upload(write_clip(tmp_path / "clip.mp4", frames=8, size=(240, 320)))
    driver.click(30, 25)
    for step in ("mark", "check", "frame", "finish"):
        driver.step(step)
        page.wait_for_timeout(400)
        assert violations(driver) == [], step
    for opens in ("?", "Shift+J", "g"):
        page.keyboard.press(opens)
        page.locator("dialog").wait_for()
        assert violations(driver) == [], opens
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
    assert driver.errors == []
    context.close()
