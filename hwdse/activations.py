"""Calibrated quantisers of activations: what Brevitas observes once, at every site, for all formats.

A calibration never sees the other quantisers, and the largest absolute value that it keeps does not depend on the
format. So one pass over the calibration images gives the scales of all formats of a family; only where the scale is
searched for the least squared error does each format need a pass of its own.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from typing import Any

import torch
from brevitas.graph.calibrate import calibration_mode
from torch import Tensor, nn

from hwdse.brevitas_layers import activation_layer
from hwdse.design import Quantizer
from hwdse.formats import BinaryFormat, FloatFormat, HalfFormat, IntFormat
from hwdse.fused import Fused, available, probe

Visit = Callable[[str, Tensor], None]
Watch = Callable[[Iterable[str], Visit], None]  # shows the calibration activations of sites
Dimension = Callable[[str, Quantizer], int | None]  # along which the groups of a quantiser run at a site
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class SiteQuantiser:
    """A calibrated quantiser: Brevitas's module, and where there is a compiler the same in one pass."""

    name: str
    module: nn.Module
    fused: Fused | None
    device: str  # its type: where the module is, and the numbers that it quantises

    def __call__(self, x: Tensor, *, inside: tuple[float, float] = (-inf, inf), in_place: bool = False) -> Tensor:
        """`x` clamped to `inside` and quantised; `in_place` allows to write over `x`."""
        if x.device.type != self.device:  # torch would divide by a scale that is elsewhere, and round otherwise
            raise RuntimeError(
                f"the quantiser {self.name} was made for tensors on {self.device}, not on {x.device.type}"
            )
        if self.fused is not None and x.dtype is torch.float32:
            return self.fused(x, inside=inside, in_place=in_place)
        quantised: Tensor = self.module(x if inside == (-inf, inf) else x.clamp(*inside))
        return quantised


class Activations:
    """The quantisers of the sites of one float network."""

    def __init__(self, watch: Watch, dimension: Dimension, device: str | torch.device = "cpu") -> None:
        """`device` is where the tensors of the network are, those that `watch` shows too."""
        self._watch = watch
        self._dimension = dimension
        self._device = torch.device(device)
        self._states: dict[tuple[str, Quantizer], State] = {}
        self._modules: dict[Quantizer, Any] = {}
        self._quantisers: dict[tuple[str, Quantizer], SiteQuantiser] = {}

    def calibrate(self, pairs: Iterable[tuple[str, Quantizer]]) -> None:
        """Observes what is not known yet, all in one pass over the calibration images."""
        wanted = dict.fromkeys((site, observed(q)) for site, q in pairs if has_observed_scale(q))
        new = {pair: activation_layer(pair[1]).to(self._device) for pair in wanted if pair not in self._states}
        if not new:
            return

        def collect(site: str, x: Tensor) -> None:
            for (where, _), module in new.items():
                if where == site:
                    module(x)

        with torch.no_grad(), calibration_mode(nn.ModuleList(new.values())):
            self._watch({site for site, _ in new}, collect)
        self._states |= {pair: module.state_dict() for pair, module in new.items()}

    def module(self, site: str, quantizer: Quantizer) -> nn.Module:
        """Brevitas's quantiser, calibrated, in evaluation mode, of its own."""
        module: nn.Module = deepcopy(self._loaded(site, quantizer))
        return module

    def quantiser(self, site: str, quantizer: Quantizer) -> SiteQuantiser:
        """The quantiser that is used again for every design."""
        if (site, quantizer) not in self._quantisers:
            self._quantisers[site, quantizer] = self._made(site, quantizer)
        return self._quantisers[site, quantizer]

    def _made(self, site: str, quantizer: Quantizer) -> SiteQuantiser:
        module, device = self._loaded(site, quantizer), self._device.type
        loose = not has_observed_scale(quantizer) or isinstance(quantizer.format, BinaryFormat)  # not fused
        if loose or not available(device):
            return SiteQuantiser(quantizer.name, deepcopy(module), None, device)
        with torch.no_grad():
            scale = float(module.act_quant.scale())
            fused, points = Fused.of(quantizer, scale), probe(quantizer, scale).to(self._device)
            if not same(fused(points), module(points)):
                raise AssertionError(f"the fused quantiser {quantizer.name} at {site!r} differs from Brevitas's")
        return SiteQuantiser(quantizer.name, module, fused, device)

    def _loaded(self, site: str, quantizer: Quantizer) -> Any:
        """One module for all sites, with the calibration of `site` until the next call."""
        if not has_observed_scale(quantizer):
            return activation_layer(quantizer, self._dimension(site, quantizer)).to(self._device)
        if quantizer not in self._modules:
            self._modules[quantizer] = activation_layer(quantizer).to(self._device)
        module = self._modules[quantizer]
        module.load_state_dict(self._states[site, observed(quantizer)])
        return module.eval()


def same(x: Tensor, y: Tensor) -> bool:
    """Whether all numbers are equal, or both NaN."""
    return bool(((x == y) | (x.isnan() & y.isnan())).all())


def has_observed_scale(quantizer: Quantizer) -> bool:
    """Whether calibration gives the scale: those of groups come from what they see, and a cast has none."""
    return quantizer.group is None and not isinstance(quantizer.format, HalfFormat)


@cache
def observed(quantizer: Quantizer) -> Quantizer:
    """The quantiser whose calibration serves for `quantizer`: one of its family, with the same statistic."""
    if quantizer.calibration == "mse" or isinstance(quantizer.format, BinaryFormat):
        return quantizer
    fmt = FloatFormat(4, 3) if isinstance(quantizer.format, FloatFormat) else IntFormat(8)
    return replace(quantizer, format=fmt, narrow=True)
