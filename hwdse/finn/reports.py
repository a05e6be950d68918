"""What FINN's builder leaves in its output folder up to the estimates: status, verification, numbers of each node.

The files are those of finn/builder/build_dataflow.py (`exit_buildflow`) and finn/builder/build_dataflow_steps.py
(`verify_step`, `step_generate_estimate_reports`). FINN's command ends with 0 anyhow, so that files are asked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from hwdse.finn.environment import FinnError

STATUS = "report/metadata_builder.json"
CYCLES, RESOURCES = "report/estimate_layer_cycles.json", "report/estimate_layer_resources.json"
PERFORMANCE = "report/estimate_network_performance.json"
ESTIMATES = (CYCLES, RESOURCES, PERFORMANCE)
VERIFICATION = "verification_output"
SUM = "total"  # a row of the resources


@dataclass(frozen=True, slots=True)
class NodeEstimate:
    """FINN's numbers for one node."""

    node: str
    cycles: int
    luts: int
    bram18s: int
    urams: int
    dsps: int


@dataclass(frozen=True, slots=True)
class NetworkEstimate:
    """FINN's numbers for a network."""

    nodes: tuple[NodeEstimate, ...]
    interval_cycles: int  # of the slowest node
    latency_cycles: int  # the sum along the longest path


def check_status(output: Path) -> None:
    """FinnError unless FINN says of the build in `output` that it is done."""
    status = table(output / STATUS).get("status")
    if status != "ok":
        raise FinnError(f"FINN's build ended with status {status!r}; see {output / 'build_dataflow.log'}")


def check_verification(output: Path, steps: Sequence[str], images: int) -> None:
    """FinnError unless FINN found every image right behind every one of `steps`, by the names of its files."""
    found = {path.stem for path in (output / VERIFICATION).glob("verify_*.npy")}
    for step in steps:
        for image in range(images):
            name = f"verify_{step}_{image}"
            if f"{name}_FAIL" in found:
                raise FinnError(f"FINN's verification {step} finds other logits for image {image}")
            if f"{name}_SUCCESS" not in found:
                raise FinnError(f"FINN's verification {step} of image {image} was not done")


def estimates(output: Path) -> NetworkEstimate:
    """The numbers in the three reports of the estimates."""
    cycles, resources, network = (table(output / name) for name in ESTIMATES)
    if set(resources) != {*cycles, SUM}:
        raise FinnError(f"{output / RESOURCES} is about {', '.join(resources)}, unlike {output / CYCLES}")
    return NetworkEstimate(
        tuple(_node(node, number(cycles, node, CYCLES), resources[node]) for node in cycles),
        number(network, "max_cycles", PERFORMANCE),
        number(network, "critical_path_cycles", PERFORMANCE),
    )


def _node(node: str, cycles: int, area: object) -> NodeEstimate:
    if not isinstance(area, dict):
        raise FinnError(f"{RESOURCES} says of {node!r} {area!r}, which is no table")
    return NodeEstimate(node, cycles, *(number(area, key, RESOURCES) for key in ("LUT", "BRAM_18K", "URAM", "DSP")))


def table(file: Path) -> dict[str, object]:
    """An object of JSON; FinnError where there is no such file, or something else in it."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise FinnError(f"FINN's build has left no {file}") from None
    except ValueError as error:
        raise FinnError(f"{file} is no report of FINN: {error}") from None
    if not isinstance(said, dict):
        raise FinnError(f"{file} is no report of FINN: it is no table")
    return said


def number(said: dict[str, object], key: str, where: str) -> int:
    """A whole number of a report; FINN may write it with a fraction of zero."""
    value = real(said, key, where)
    if value != int(value):
        raise FinnError(f"{where} has a whole number {key!r}, not {value!r}")
    return int(value)


def real(said: dict[str, object], key: str, where: str) -> float:
    """A finite number of a report, which is no truth value."""
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise FinnError(f"{where} has a number {key!r}, not {value!r}")
    return value
