"""The files of a build with FINN: what its builder reads, how it is started, what was found here, and the manifest.

Equal designs are equal bytes: there is no clock in them and no absolute path. `run` of the manifest alone says where a
folder is: the way from there to its run, which differs where that does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from hwdse import finn_fit
from hwdse.artifact import DESIGN
from hwdse.delivery import ArtifactError, Manifest, check_files, said
from hwdse.design import Design
from hwdse.finn import folding_file, messages
from hwdse.finn.environment import REQUIREMENTS, FinnError, requirements
from hwdse.finn.messages import Board, Priced, Versions
from hwdse.finn.reports import NetworkEstimate, NodeEstimate

FLOW, MODEL = "finn", "model.onnx"
WITHOUT_VIVADO = ("finn_onnx_python", "initial_python", "streamlined_python")  # FINN's verifications by execution
SHARED = (("hwdse_steps.py", "hwdse_steps.py"), ("without_vivado.py", "finn_without_vivado.py"))  # of hwdse.finn_worker
BITFILES = {"vivado_zynq": "finn-accel.bit", "vitis_alveo": "finn-accel-0.xclbin"}
_ENVIRONMENT = Environment(
    loader=PackageLoader("hwdse.hls_templates", "finn"), undefined=StrictUndefined, keep_trailing_newline=True
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A design for FINN, and what was found of it."""

    study: str
    trial: int
    run: str  # the folder of the run, as seen from that of the build
    network: str
    device: str  # of the study
    design: Design
    board: Board
    clock_mhz: float
    steps: tuple[str, ...]  # of FINN's builder
    asked: float  # images a second that are folded for
    folded: str  # by what, in words
    others: folding_file.Settings  # of nodes, besides PE and SIMD
    priced: Priced
    outside: tuple[str, ...]
    agreement: str  # of the QONNX file with Brevitas, in words
    bound: float  # on the difference of two evaluations of a logit
    versions: Versions


@dataclass(frozen=True, slots=True)
class FinnManifest:
    """What is read of the manifest of a build with FINN."""

    flow: str
    chosen: str  # digest of the design
    study: str
    run: str  # of the study, as seen from the folder of the build
    network: str
    board: Board
    clock_mhz: float
    folding: str  # of the estimate, in words
    versions: Versions
    estimate: Priced


def inputs(of: Delivered, model: bytes, images: NDArray[np.float32], logits: NDArray[np.float32]) -> dict[str, bytes]:
    """What FINN is given; `images`: n x ... codes that enter `model`, `logits`: n x classes, of the Brevitas model."""
    worker = files("hwdse") / "finn_worker"
    folding = folding_file.text([unit.folded for unit in of.priced.units], of.others)
    return {
        MODEL: model,
        "build.yaml": _render("build.yaml.j2", _words(of)),
        folding_file.NAME: folding.encode(),
        **{name: (worker / source).read_bytes() for source, name in SHARED},
        "verify_input.npy": _npy(images),
        "verify_output.npy": _npy(logits),
        "run.sh": _render("run.sh.j2", _words(of)),
        "requirements.txt": REQUIREMENTS.read_bytes(),
        DESIGN: of.design.text.encode(),
    }


def readme(of: Delivered, images: int) -> bytes:
    """The page of the folder; `images`: those that FINN has verified."""
    torch, *_, finn = requirements()
    words: dict[str, object] = {"images": images, "torch": torch, "finn": finn, "version": version("hwdse")}
    return _render("README.md.j2", _words(of) | words)


def facts(of: Delivered) -> dict[str, object]:
    """What the manifest says beside the digests."""
    layers = [{"layer": unit.layer, "node": unit.folded.node} for unit in of.priced.units if unit.layer is not None]
    return {
        "flow": FLOW,
        "hwdse": version("hwdse"),
        "study": of.study,
        "trial": of.trial,
        "run": of.run,
        "network": of.network,
        "chosen": of.design.digest,
        "hardware": MODEL,
        "layers": layers,
        "board": messages.plain(of.board),
        "clock_mhz": of.clock_mhz,
        "folding": of.folded,
        "versions": messages.plain(of.versions),
        "estimate": messages.plain(of.priced),
    }


def manifest_of(folder: Path) -> FinnManifest:
    """The manifest of a build with FINN; ArtifactError where `folder` is none, or not as it was delivered."""
    found = said(folder)
    if found.get("flow") != FLOW:
        raise ArtifactError(f"{folder} is no build with FINN")
    names = [field.name for field in fields(FinnManifest)]
    try:
        manifest = messages.read(FinnManifest, {name: found[name] for name in names if name in found})
        digests = tuple((str(name), str(digest)) for name, digest in dict(found["files"]).items())
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"the manifest of {folder} is none of a build with FINN: {error}") from None
    check_files(folder, Manifest(manifest.chosen, MODEL, (), digests))
    return manifest


def is_finn(folder: Path) -> bool:
    """Whether `folder` is a build with FINN, by its manifest; ArtifactError where it is no build at all."""
    return bool(said(folder).get("flow") == FLOW)


def check_estimate(found: NetworkEstimate, priced: Priced) -> None:
    """FinnError unless FINN's builder says of every node what was estimated of it before."""
    wanted = tuple(
        NodeEstimate(unit.folded.node, unit.cycles, unit.luts, unit.bram18s, unit.urams, unit.dsps)
        for unit in priced.units
    )
    if [one.node for one in found.nodes] != [one.node for one in wanted]:
        raise FinnError(f"FINN's builder makes {_names(found.nodes)}, not {_names(wanted)}")
    for one, two in zip(found.nodes, wanted, strict=True):
        _check_equal(repr(one.node), one, two)
    _check_equal("the network", replace(found, nodes=()), _of_network(priced))


def _of_network(priced: Priced) -> NetworkEstimate:
    return NetworkEstimate((), priced.interval_cycles, priced.latency_cycles)


def _check_equal(what: str, found: NodeEstimate | NetworkEstimate, wanted: NodeEstimate | NetworkEstimate) -> None:
    for field in fields(found):
        one, two = getattr(found, field.name), getattr(wanted, field.name)
        if one != two:
            raise FinnError(f"FINN's builder says {field.name} = {one} of {what}, not {two}")


def _names(nodes: tuple[NodeEstimate, ...]) -> str:
    return ", ".join(one.node for one in nodes) or "nothing"


# ---- words ---------------------------------------------------------------------------------------


def _words(of: Delivered) -> dict[str, object]:
    """What the templates are filled with."""
    return {
        "network": of.network,
        "design": of.design.digest,
        "study": of.study,
        "trial": of.trial,
        "board": of.board,
        "alveo": of.board.shell == "vitis_alveo",
        "bitfile": BITFILES[of.board.shell],
        "clock_mhz": of.clock_mhz,
        "clock_ns": repr(1000 / of.clock_mhz),
        "steps": of.steps,
        "without_vivado": WITHOUT_VIVADO,
        "bound": f"{of.bound:.9f}",
        "versions": of.versions,
        "other_device": finn_fit.other_device(of.board.part, of.device),
        "fit": finn_fit.fit(of.board.part, of.priced),
        "missed": finn_fit.pace(of.clock_mhz, of.priced, of.asked),
        "agreement": of.agreement,
        "outside": ", ".join(of.outside) or "nothing",
        "folded": of.folded,
        "units": of.priced.units,
        "interval": of.priced.interval_cycles,
        "rate": of.clock_mhz * 1e6 / of.priced.interval_cycles,
    }


def _render(name: str, values: Mapping[str, object]) -> bytes:
    return _ENVIRONMENT.get_template(name).render(values).encode()


def _npy(array: NDArray[np.float32]) -> bytes:
    out = BytesIO()
    np.save(out, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    return out.getvalue()
