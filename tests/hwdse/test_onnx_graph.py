"""Graphs survive their file, and the grid of a quantiser is what its values say."""

from pathlib import Path

import numpy as np
import pytest

from hwdse.design import Quantizer
from hwdse.formats import known_formats, values
from hwdse.onnx_graph import Graph, Grid, Node


def test_a_graph_is_what_its_file_has(tmp_path: Path) -> None:
    node = Node("Conv", "conv1", ("x", "w"), "y", (("group", 1), ("pads", (1, 1, 1, 1)), ("mode", "a"), ("eps", 0.5)))
    arrays = {"w": np.ones((2, 1, 3, 3), np.float32), "bits": np.array(4.0, np.float32)}
    made = Graph("net", (node,), arrays, "x", (1, 8, 8), "UINT8", "y", (2, 8, 8))
    made.save(tmp_path / "graph.npz")
    found = Graph.load(tmp_path / "graph.npz")
    assert found.arrays.keys() == arrays.keys()
    assert all(np.array_equal(found.arrays[name], array) for name, array in arrays.items())
    assert found.arrays["bits"].shape == ()
    others = ("name", "nodes", "input", "input_shape", "input_datatype", "output", "output_shape")
    assert [getattr(found, name) for name in others] == [getattr(made, name) for name in others]


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("int4", "INT4 narrow up to 7"),
        ("int8:full:channel", "INT8 full up to 127"),
        ("uint3", "UINT3 full up to 7"),
        ("e2m1", "FLOAT<2,1,1> up to 6"),
        ("ue2m2:po2", "FLOAT<2,2,1> up to 7"),
        ("e4m3fn", "FLOAT<4,3,7> up to 448"),
        ("e5m2ieee", "FLOAT<5,2,15> up to 57344"),
    ],
)
def test_the_grid_of_a_quantiser(name: str, grid: str) -> None:
    assert Grid.of(Quantizer.parse(name)).name == grid


@pytest.mark.parametrize("signed", [True, False])
def test_grids_tell_formats_apart(signed: bool) -> None:
    formats = known_formats(signed=signed)
    assert len({Grid.of(Quantizer(fmt)) for fmt in formats}) == len(formats)
    assert all(Grid.of(Quantizer(fmt)).largest == max(values(fmt)) for fmt in formats)
