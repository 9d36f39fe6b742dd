"""The page of a batch."""

import re

from rotomask.jobs.batch.item import Item, Outcome
from rotomask.jobs.batch.summary import BatchResult, summary_html
from rotomask.jobs.cut import CutOptions


def test_links_lead_to_the_folders_whatever_their_names():
    """A name with a colon would be an address, one with # or ? would end early."""
    names = ["javascript:alert(1)", "100% sure #2?", 'a"b', "day-1/dog"]
    items = [Item(name=name, video="a.mp4", options=CutOptions()) for name in names]
    outcomes = tuple(
        Outcome(name=name, state="finished", doubtful=((4, 0.3),), confidence=0.1 * number)
        for number, name in enumerate(names)
    )
    result = BatchResult(
        folder="<out>", outcomes=outcomes, videos=4, workers=1, seconds=1.0, outputs={}
    )
    page = summary_html(result, items)
    addresses = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert set(addresses) == {
        *("./javascript%3Aalert%281%29/", "./100%25%20sure%20%232%3F/", "./a%22b/", "./day-1/dog/"),
        *("./javascript%3Aalert%281%29/review.png", "./100%25%20sure%20%232%3F/review.png"),
        *("./a%22b/review.png", "./day-1/dog/review.png"),
    }
    assert "<out>" not in page
