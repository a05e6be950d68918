"""Leaf modules beside their references: many units in one netlist, so that one program simulates all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from hwdse.beats import pack, unpack
from hwdse.formats import Format, decode_table, limits
from hwdse.netlist import Instance, Netlist, Unit
from hwdse.simulation import build, lint

STALLS = (0.0, 0.3, 0.8)


def cache_of(request: pytest.FixtureRequest) -> Path:
    """Where programs are kept from one test run to the next."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("simulation")


@dataclass(frozen=True)
class Case:
    """A unit, what enters it, what must leave it, and when at full speed.

    Elements are `n x lanes`; those that leave are compared modulo 2**bits. `first`: the cycle of the first beat of
    each output; `last`: of the last beat of all.
    """

    unit: Unit
    inputs: Mapping[str, ArrayLike]
    outputs: Mapping[str, ArrayLike]
    first: int
    last: int


def check(cases: Sequence[Case], cache: Path) -> None:
    """Every case: equal elements with stalls and without, exact cycles without."""
    simulator = build(side_by_side([case.unit for case in cases]), cache)
    inputs = {
        f"{stream.name}{i}": pack(case.inputs[stream.name], stream.bits // np.shape(case.inputs[stream.name])[1])
        for i, case in enumerate(cases)
        for stream in case.unit.inputs
    }
    wanted = {f"{name}{i}": len(np.asarray(v)) for i, case in enumerate(cases) for name, v in case.outputs.items()}
    for stall in STALLS:
        done = simulator.run(inputs, outputs=wanted, seed=7, stall=stall)
        for i, case in enumerate(cases):
            for stream in case.unit.outputs:
                expected = np.asarray(case.outputs[stream.name]).astype(object)
                lanes = expected.shape[1]
                bits = stream.bits // lanes
                found = unpack(done.outputs[f"{stream.name}{i}"], bits, lanes)
                assert (found == expected % (1 << bits)).all(), (case.unit.name, stall)
                if stall == 0:
                    cycles = (done.first(f"{stream.name}{i}"), done.last(f"{stream.name}{i}"))
                    assert cycles == (case.first, case.last), case.unit.name


def check_lint(cases: Sequence[Case]) -> None:
    """No case gives a warning; each alone, since Verilator names only the first of equal ones."""
    assert {case.unit.name: found for case in cases if (found := lint(Netlist.of(case.unit)))} == {}


def side_by_side(units: Sequence[Unit]) -> Netlist:
    """Units that have nothing to do with each other; stream `x` of unit i is port `xi`."""
    return Netlist(
        tuple(
            Instance(f"u{i}", unit, tuple((s.name, f"{s.name}{i}") for s in (*unit.inputs, *unit.outputs)))
            for i, unit in enumerate(units)
        )
    )


def random_codes(
    fmt: Format, shape: tuple[int, int], random: np.random.Generator, *, narrow: bool = True
) -> NDArray[np.int64]:
    """Codes of finite numbers, -0 among them, of a format's narrow range or of its full one."""
    low, high = limits(fmt, narrow)
    numbers = decode_table(fmt)
    usable = np.flatnonzero((numbers >= low) & (numbers <= high))
    return random.choice(usable, shape)
