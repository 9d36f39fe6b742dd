"""What holds for every entry of the catalogue."""

from typing import Any

import pytest

from rotomask import catalog
from rotomask.catalog import CATALOG, ROLES, find_then_follow, needs_no_mask
from rotomask.errors import OptionError, WeightsError
from rotomask.jobs.loading import load_discoverer, load_model
from rotomask.segmenters.refinements import Refinements

CPU: dict[str, Any] = {"device": "cpu", "precision": "float32"}
LOADERS: dict[catalog.RoleName, Any] = {
    "segmenter": catalog.load_model,
    "discoverer": catalog.load_discoverer,
    "interactive": catalog.load_marker,
    "detector": catalog.load_detector,
    "flow": catalog.load_flow,
    "edges": catalog.load_edge_detector,
}
USES = [(name, role) for name, entry in CATALOG.items() for role in entry.roles]


@pytest.mark.parametrize(("name", "role"), USES)
def test_an_entry_loads_or_says_that_it_has_no_weights(name, role):
    entry = CATALOG[name]
    if entry.network is None or entry.weights is not None:
        assert LOADERS[role](name, **CPU) is not None
    else:
        with pytest.raises(WeightsError, match=rf"{name} has no shipped weights; .* --weights"):
            LOADERS[role](name, **CPU)


@pytest.mark.parametrize("name", CATALOG)
def test_an_entry_has_a_use_and_its_weights_a_card(name):
    entry = CATALOG[name]
    assert entry.roles
    assert entry.summary[0].islower() or entry.summary.isupper()
    assert bool(catalog.model_card(name).get("config")) == (entry.weights is not None)
    weights = catalog.shipped_weights(name)
    assert weights is None or weights.stat().st_size < 20_000_000


@pytest.mark.parametrize("role", ROLES)
def test_unknown_names_list_the_names_of_the_role(role):
    for wrong in ("cutie", next(n for n, entry in CATALOG.items() if role not in entry.roles)):
        with pytest.raises(OptionError, match=catalog.names(role)[0]):
            LOADERS[role](wrong)


@pytest.mark.parametrize("role", ["segmenter", "discoverer", "detector", "edges"])
def test_an_unknown_setting_lists_the_settings(role):
    name = next(n for n in catalog.names(role) if CATALOG[n].weights is not None)
    with pytest.raises(OptionError, match=rf"{name} has no setting 'sise'; it has .*size"):
        LOADERS[role](name, sise=480)


@pytest.mark.parametrize("name", [n for n, entry in CATALOG.items() if entry.network is not None])
def test_weights_of_another_network_are_refused(name):
    other = "flow-lite" if CATALOG[name].weights != "flow-lite" else "stm-lite"
    with pytest.raises(WeightsError, match="checkpoint of"):
        catalog.load_network(name, catalog.shipped_weights(other))


def test_what_has_no_network_takes_no_weights():
    with pytest.raises(OptionError, match="dis has no network and takes no weights"):
        catalog.load_flow("dis", weights="flow.pth")


def test_a_finder_and_a_follower_are_named_with_a_plus():
    assert find_then_follow("flow-saliency+rgmp-lite") == ("flow-saliency", "rgmp-lite")
    assert find_then_follow("stm-lite") == ("embedding", "stm-lite")
    assert find_then_follow("embedding") == ("embedding", None)
    unmarked = {name for name in (*catalog.names("segmenter"), "a+b") if name != "a+b"}
    assert {name for name in unmarked if needs_no_mask(name)} == {"embedding"}
    assert needs_no_mask("embedding+rgmp-lite")
    with pytest.raises(OptionError, match="known discoverers: embedding, flow-saliency"):
        find_then_follow("stm-lite+rgmp-lite")
    with pytest.raises(OptionError, match="known models: stm-lite"):
        find_then_follow("embedding+flow-saliency")


def test_refinements_that_a_model_cannot_have_are_named():
    with pytest.raises(OptionError, match=r"embedding cannot learn online; .* stm-lite"):
        load_model("embedding", Refinements(online_steps=1), **CPU)
    with pytest.raises(OptionError, match=r"can be refined \+ flip"):
        load_discoverer("embedding", Refinements(flip=True), **CPU)
    with pytest.raises(OptionError, match=r"'stm' needs a mask .* embedding\+stm"):
        load_discoverer("stm")
