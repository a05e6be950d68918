"""From choices to designs."""

from dataclasses import replace

import pytest

from hwdse.design import Folding, Quantizer, Step
from hwdse.space import Dimension, Recipe, Space
from hwdse.workload import Kind, Layer, Site, Workload


def conv(name: str, inputs: str, outputs: str) -> Layer:
    return Layer(name, Kind.CONV, (inputs,), (outputs,), 4, 9, 16)


WORKLOAD = Workload(
    "net",
    (
        conv("conv1", "image", "sum"),
        conv("conv2", "sum", "sum"),
        Layer("add", Kind.ADD, ("sum", "sum"), ("flat",), 4, 1, 16),
        Layer("fc", Kind.LINEAR, ("flat",), (), 10, 64, 1),
    ),
    (
        Site("image", ("x",), ("conv1",), 16),
        Site("sum", ("conv1", "conv2"), ("conv2", "add"), 128),
        Site("flat", ("add",), ("fc",), 64),
    ),
    (1, 4, 4),
)


def menu(*names: str) -> tuple[Quantizer, ...]:
    return tuple(map(Quantizer.parse, names))


WEIGHTS, ACTIVATIONS = menu("int4:channel", "e2m1:channel"), menu("int4:full", "e2m1")
SPACE = Space(
    WORKLOAD,
    WEIGHTS,
    ACTIVATIONS,
    uniform=tuple(zip(WEIGHTS, ACTIVATIONS, strict=True)),
    nonnegative=frozenset({"image", "sum"}),
    folding=(("conv1", Folding(2, 3)),),
    recipe=(Step("bias_correction"),),
)
INT8, E3M4 = (Quantizer.parse("int8:channel"), Quantizer.parse("int8")), tuple(menu("e3m4:channel", "e3m4"))


def test_one_dimension_per_layer_and_site() -> None:
    weights, activations = ("int4:channel", "e2m1:channel"), ("int4:full", "e2m1")
    assert SPACE.dimensions == (
        Dimension("weights.conv1", weights),
        Dimension("weights.conv2", weights),
        Dimension("weights.fc", weights),
        Dimension("activations.image", activations),
        Dimension("activations.sum", activations),
        Dimension("activations.flat", activations),
    )


def test_a_uniform_design() -> None:
    design = SPACE.design(SPACE.choices(SPACE.uniform[1]))
    assert dict(design.weights) == dict.fromkeys(("conv1", "conv2", "fc"), WEIGHTS[1])
    assert {site: q.name for site, q in design.activations} == {"image": "ue2m2", "sum": "ue2m2", "flat": "e2m1"}
    assert dict(design.folding) == {"conv1": Folding(2, 3)}
    assert design.recipe == (Step("bias_correction"),)
    assert design.hardware


def test_an_unsigned_twin_has_no_full_range() -> None:
    design = SPACE.design(SPACE.choices(SPACE.uniform[0]))
    assert {site: q.name for site, q in design.activations} == {"image": "uint4", "sum": "uint4", "flat": "int4:full"}


def test_a_mixed_design() -> None:
    choices = SPACE.choices(SPACE.uniform[0]) | {"weights.fc": "e2m1:channel", "activations.flat": "e2m1"}
    design = SPACE.design(choices)
    assert dict(design.weights)["fc"] == WEIGHTS[1]
    assert dict(design.activations)["flat"] == ACTIVATIONS[1]


def test_fixed_ends_are_no_dimensions() -> None:
    fixed = replace(SPACE, first=(INT8,), last=(INT8,))
    assert [d.name for d in fixed.dimensions] == ["weights.conv2", "activations.sum"]
    design = fixed.design(fixed.choices(fixed.uniform[1]))
    assert {n: q.name for n, q in design.weights} == {
        "conv1": "int8:channel", "conv2": "e2m1:channel", "fc": "int8:channel",
    }  # fmt: skip
    assert {n: q.name for n, q in design.activations} == {"image": "uint8", "sum": "ue2m2", "flat": "int8"}


def test_ends_with_a_menu_follow_the_kind_of_a_uniform_design() -> None:
    weights, activations = E3M4
    space = replace(SPACE, first=(INT8, (weights, activations)))
    assert space.dimensions[0] == Dimension("weights.conv1", ("int8:channel", "e3m4:channel"))
    for pair, expected in zip(space.uniform, ("int8", "e3m4"), strict=True):
        choices = space.choices(pair)
        assert (choices["weights.conv1"], choices["activations.image"]) == (f"{expected}:channel", expected)


def test_where_the_ends_meet_the_first_counts() -> None:
    one = Workload("one", (replace(WORKLOAD.layers[0], outputs=()),), WORKLOAD.sites[:1], (1, 4, 4))
    weights, activations = E3M4
    space = replace(SPACE, workload=one, first=(INT8,), last=((weights, activations),))
    assert [q.name for _, q in space.design({}).weights] == ["int8:channel"]


def test_a_network_without_weights() -> None:
    empty = Workload("empty", (), (), (1, 4, 4))
    with pytest.raises(ValueError, match=r"^network 'empty' has no layer with weights$"):
        replace(SPACE, workload=empty)


def test_a_recipe_for_a_layer_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"^no layer 'conv9'; known: conv1, conv2, add, fc$"):
        replace(SPACE, recipe=(Step("bias_correction", scope=("conv9",)),))


PAIRS = tuple(zip(WEIGHTS, ACTIVATIONS, strict=True))
PAIRED = replace(SPACE, pairs=PAIRS)


def test_a_layer_and_what_it_reads_are_one_choice() -> None:
    both = ("int4:channel/int4:full", "e2m1:channel/e2m1")
    assert PAIRED.dimensions == tuple(Dimension(f"pair.{layer}", both) for layer in ("conv1", "conv2", "fc"))
    assert PAIRED.choices(PAIRS[1]) == dict.fromkeys(("pair.conv1", "pair.conv2", "pair.fc"), both[1])
    assert PAIRED.design(PAIRED.choices(PAIRS[1])) == SPACE.design(SPACE.choices(PAIRS[1]))


def test_a_mixed_design_of_pairs() -> None:
    design = PAIRED.design({"pair.conv1": "int4:channel/int4:full", "pair.conv2": "e2m1:channel/e2m1"} | LAST)
    assert {layer: q.name for layer, q in design.weights} == {
        "conv1": "int4:channel", "conv2": "e2m1:channel", "fc": "int4:channel",
    }  # fmt: skip
    assert {site: q.name for site, q in design.activations} == {"image": "uint4", "sum": "ue2m2", "flat": "int4:full"}


LAST = {"pair.fc": "int4:channel/int4:full"}


def test_a_shared_site_belongs_to_the_first_layer_that_reads_it() -> None:
    shared = replace(WORKLOAD, layers=(*WORKLOAD.layers, conv("conv3", "sum", "flat")))
    space = replace(PAIRED, workload=shared)
    assert [d.name for d in space.dimensions] == ["pair.conv1", "pair.conv2", "pair.fc", "weights.conv3"]
    assert space.dimensions[3].choices == ("int4:channel", "e2m1:channel")


def test_a_site_that_no_layer_with_weights_reads_chooses_for_itself() -> None:
    alone = Site("other", ("y",), ("add",), 64)
    space = replace(PAIRED, workload=replace(WORKLOAD, sites=(*WORKLOAD.sites, alone)))
    assert space.dimensions[3] == Dimension("activations.other", ("int4:full", "e2m1"))


def test_ends_of_pairs_have_their_own_menu() -> None:
    wide = Quantizer.parse("e3m4:channel"), Quantizer.parse("e3m4")
    space = replace(PAIRED, first=(INT8,), last=(INT8, wide))
    assert [d.name for d in space.dimensions] == ["pair.conv2", "pair.fc"]
    assert space.dimensions[1].choices == ("int8:channel/int8", "e3m4:channel/e3m4")
    design = space.design(space.choices(PAIRS[1]))
    assert [q.name for _, q in design.weights] == ["int8:channel", "e2m1:channel", "e3m4:channel"]
    assert {site: q.name for site, q in design.activations} == {"image": "uint8", "sum": "ue2m2", "flat": "e3m4"}


def test_one_tensor_can_be_changed_to_what_is_on_no_menu() -> None:
    design = SPACE.design(SPACE.choices((WEIGHTS[0], ACTIVATIONS[0])))
    wide, minifloat = menu("int8:channel", "e2m1")
    weights = SPACE.changed(design, "weights", "conv2", wide)
    assert dict(weights.weights) == {**dict(design.weights), "conv2": wide}
    assert replace(weights, weights=design.weights) == design
    assert SPACE.changed(replace(design, folding=()), "weights", "conv2", wide) == weights
    unsigned = SPACE.changed(design, "activations", "sum", minifloat)
    assert dict(unsigned.activations) == {**dict(design.activations), "sum": Quantizer.parse("ue2m2")}
    assert dict(SPACE.changed(design, "activations", "flat", minifloat).activations)["flat"] == minifloat


def test_signs_are_those_of_the_recipe_of_the_design() -> None:
    other = Recipe((), WORKLOAD, frozenset(), ())
    space = replace(SPACE, others=(other,))
    design = space.design({**space.choices((WEIGHTS[0], ACTIVATIONS[0])), "recipe": "none"})
    changed = space.changed(design, "activations", "sum", Quantizer.parse("e2m1"))
    assert dict(changed.activations)["sum"].name == "e2m1"


def test_menus() -> None:
    ends = replace(SPACE, first=((E3M4[0], E3M4[1]),))
    assert ends.menus["weights"] == {"conv1": (E3M4[0],), "conv2": WEIGHTS, "fc": WEIGHTS}
    assert ends.menus["activations"] == {"image": (E3M4[1],), "sum": ACTIVATIONS, "flat": ACTIVATIONS}
