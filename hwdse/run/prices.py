"""What decides the price of a design, as a digest: a run that was made with other prices is not continued."""

from hashlib import blake2b

from hwdse import calibrated, energy_figures, placement
from hwdse.sources import code
from hwdse.study import Study


def prices(study: Study) -> str:
    """A digest of the cost model and the folding with all code that they import, the fits, the energies, the device."""
    folding = ["hwdse.foldings.refold"] * (study.target.folding == "optimal")
    model = code(type(study.target.model).__module__, *folding)
    data = calibrated.content(), placement.content(), energy_figures.content()
    return blake2b("".join((model, *data, repr(study.target.fpga))).encode(), digest_size=8).hexdigest()
