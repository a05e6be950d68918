"""FINN's nodes of a design as they are built: the same layers and cycles as `finn`, another area, and a label."""

import re
from dataclasses import replace

import pytest

from hwdse import finn_graph
from hwdse.calibration.command import DATA
from hwdse.calibration.results import made
from hwdse.cost import FpgaCost
from hwdse.cost_models.finn import Finn
from hwdse.cost_models.finn_corrected import OWN, FinnCorrected
from hwdse.design import Design
from hwdse.finn_fits import TABLE, summary
from hwdse.finn_nodes import Dsp
from hwdse.finn_parts.matrix_vector import Packing
from hwdse.folding import fold
from hwdse.measurements import read
from hwdse.target import fpga
from hwdse.workload import Layer
from tests.hwdse.networks import bench, uniform

TARGETS = ("xczu3eg", "xc7z020", "vck190")


def cost(model: Finn, network: str, weights: str, activations: str, device: str) -> FpgaCost:
    """The price of a uniform design."""
    on = bench(network)
    how = replace(uniform(on, weights, activations), folding=tuple(sorted(fold(on.workload, 20_000).items())))
    return model.cost(on.workload, how, fpga(device), clock_mhz=100)


@pytest.mark.parametrize("device", TARGETS)
@pytest.mark.parametrize(("network", "bits"), [("mlp", 4), ("cnn", 3), ("cnn", 8), ("resnet", 5)])
def test_it_has_finns_layers_cycles_and_memories(network: str, bits: int, device: str) -> None:
    formats = (f"int{bits}:channel", f"int{bits}")
    own, found = (cost(model, network, *formats, device) for model in (Finn(), FinnCorrected()))
    assert [replace(one, terms=()) for one in found.layers] == [replace(one, terms=()) for one in own.layers]
    assert (found.interval_cycles, found.latency_cycles) == (own.interval_cycles, own.latency_cycles)
    assert found.area.brams >= own.area.brams  # a long vector may be kept in block RAM
    assert found.area.urams == own.area.urams
    for layer, other in zip(found.layers, own.layers, strict=True):
        assert [term.name for term in layer.terms] == [term.name for term in other.terms]
        for term, before in zip(layer.terms, other.terms, strict=True):
            if OWN in term.variant:
                assert (term.area, term.low, term.high) == (replace(before.area, lutrams=0), None, None)
            else:
                assert term.low is not None
                assert term.area.ffs > 0


def test_units_in_rtl_are_no_longer_free() -> None:
    own, found = (cost(model, "mlp", "int4:channel", "int4", "xczu3eg") for model in (Finn(), FinnCorrected()))
    terms = {(layer.layer, term.name): term for layer in found.layers for term in layer.terms}
    for layer in own.layers:
        for term in layer.terms:
            if term.variant == "MVAU_rtl":
                assert term.area.luts == 0 < terms[layer.layer, term.name].area.luts
                assert terms[layer.layer, term.name].variant == "MVAU_rtl, corrected"


def test_dsps_are_those_of_the_rtl() -> None:
    found = cost(FinnCorrected(), "mlp", "int8:channel", "int8", "xczu3eg")
    for layer in found.layers:
        for term in layer.terms:
            if term.variant.startswith("MVAU_rtl"):
                assert layer.folding is not None
                bits = 8 if layer is found.layers[0] else 7  # a sign is dropped behind a ReLU
                assert term.area.dsps in {
                    Packing(2, 8, width, narrow=True).dsps(layer.folding.pe, layer.folding.simd) for width in (bits, 8)
                }


@pytest.mark.parametrize("device", TARGETS)
def test_it_says_what_it_is(device: str) -> None:
    words = FinnCorrected().calibration(fpga(device))
    assert words.startswith(f"No estimates of FINN's own for {device}: FINN+ 1.6.1 as hwdse corrects it. ")
    assert summary() in words
    assert "yosys 0.70, and not Vivado, has synthesised" in words
    assert words != Finn().calibration(fpga(device))
    assert FinnCorrected().name == "finn-corrected" != Finn().name


def test_the_nodes_of_a_layer_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = list[str](), finn_graph.alone

    def alone(layer: Layer, design: Design, dsp: Dsp) -> tuple[finn_graph.Placed, ...]:
        asked.append(layer.name)
        return real(layer, design, dsp)

    monkeypatch.setattr(finn_graph, "alone", alone)
    on = bench("mlp")
    how = replace(uniform(on, "int4", "int4"), folding=tuple(sorted(fold(on.workload, 20_000).items())))
    for layer in on.workload.layers:
        FinnCorrected().layer(layer, how, fpga("xczu3eg"))
    assert asked == [layer.name for layer in on.workload.layers]


def test_the_summary_counts_the_units_that_it_lists() -> None:
    """And says which yosys has synthesised them: the one of the table."""
    total, *each = (int(count) for count in re.findall(r"(?:fitted to |\()(\d+) ", summary()))
    assert total == sum(each) < len(read(DATA / TABLE))
    (version,) = re.findall(r"that yosys (\S+), and not Vivado,", summary())
    assert version == dict(made(DATA)[TABLE].tools)["yosys"]


def test_the_interval_of_a_network_lies_around_it() -> None:
    found = cost(FinnCorrected(), "cnn", "int4:channel", "int4", "xczu3eg")
    low, high = found.bounds
    assert low.luts < found.area.luts < high.luts
    assert low.dsps == found.area.dsps == high.dsps


def test_a_minifloat_activation_is_refused_as_by_finn() -> None:
    on = bench("mlp")
    how: Design = replace(uniform(on, "int4", "e2m1"), folding=tuple(sorted(fold(on.workload, 20_000).items())))
    with pytest.raises(ValueError, match=r"^.*, unlike ue2m2 at site 'input' of layer 'fc1'$") as of_finn:
        Finn().cost(on.workload, how, fpga("xczu3eg"), clock_mhz=100)
    with pytest.raises(ValueError, match=f"^{re.escape(str(of_finn.value))}$"):
        FinnCorrected().cost(on.workload, how, fpga("xczu3eg"), clock_mhz=100)
