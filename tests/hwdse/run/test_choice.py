"""From `[search] choice` of a study to the space."""

import pytest

from hwdse import study as studies
from hwdse.run import Treated, space_of
from hwdse.workload import Kind, Layer, Site, Workload


@pytest.mark.parametrize(
    ("choice", "dimensions"),
    [("layer", ["pair.a", "pair.b"]), ("tensor", ["weights.a", "weights.b", "activations.x", "activations.y"])],
)
def test_what_is_chosen(choice: str, dimensions: list[str]) -> None:
    layers = (Layer("a", Kind.LINEAR, ("x",), ("y",), 4, 4, 1), Layer("b", Kind.LINEAR, ("y",), (), 4, 4, 1))
    workload = Workload("two", layers, (Site("x", ("x",), ("a",), 4), Site("y", ("y",), ("b",), 4)), (4,))
    study = studies.load("digits", [f"search.choice={choice}"])
    space = space_of(study, {(): Treated(workload, frozenset())})
    assert [d.name for d in space.dimensions] == dimensions
    expected = 33 if choice == "tensor" else len(study.formats.uniform)
    assert {len(d.choices) for d in space.dimensions} == {expected}
