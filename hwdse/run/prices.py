"""What decides the price of a design, as a digest: a run that was made with other prices is not continued."""

from hashlib import blake2b

from hwdse import calibrated, compiled, energy_figures, gpu_points, placement
from hwdse.sources import code
from hwdse.study import Study
from hwdse.study.targets import GpuSection


def prices(study: Study) -> str:
    """A digest of the cost model and the folding with all code that they import, the fits, the energies, the device."""
    target = study.target
    if isinstance(target, GpuSection):
        measured = compiled.write(compiled.table()), repr(gpu_points.constants(target.device))
        return _digest(code(type(target.model).__module__), *measured, repr(target.gpu))
    folding = ["hwdse.foldings.refold"] * (target.folding == "optimal")
    model = code(type(target.model).__module__, *folding)
    data = calibrated.content(), placement.content(), energy_figures.content()
    return _digest(model, *data, repr(target.fpga))


def _digest(*parts: str) -> str:
    return blake2b("".join(parts).encode(), digest_size=8).hexdigest()
