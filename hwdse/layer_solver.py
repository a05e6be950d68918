"""Runs Brevitas's layer-wise solvers (GPTQ, GPFQ and those made from it) on one layer and its inputs.

Brevitas drives them with hooks and an exception from inside a forward pass; here they are given the
inputs. A solver that cannot invert its matrix only warns and leaves the layer as it was: an error here.
"""

import warnings

import torch
from brevitas.graph.calibrate import quantization_status_manager
from brevitas.graph.gpfq import GPFQ
from brevitas.graph.gptq import GPTQ
from brevitas.graph.gpxq import GPxQ, LayerHandler
from brevitas.utils.torch_utils import StopFwdException
from torch import Tensor

from hwdse.design import Quantizer
from hwdse.layer_inputs import Place
from hwdse.workload import WITH_WEIGHTS, Layer


def solvable(layer: Layer, weights: Quantizer | None) -> bool:
    """Whether the solvers work on `layer`: its weights share a scale per tensor or output channel."""
    return layer.kind in WITH_WEIGHTS and (weights is None or weights.group is None)


def roundable(layer: Layer, weights: Quantizer | None) -> bool:
    """Whether a rounding can be learned for `layer`: of a single bit Brevitas takes the sign, and rounds nothing."""
    return solvable(layer, weights) and (weights is None or weights.format.bits > 1)


def observe(solver: GPTQ | GPFQ, place: Place) -> None:
    """Shows `solver` all inputs of its layer: the quantised ones, and where it is a `GPFQ` the float ones too."""
    with torch.no_grad():
        for position, inputs in enumerate(place.inputs):
            _show(solver, place, inputs)
            if isinstance(solver, GPFQ):
                with quantization_status_manager(
                    place.layer,
                    disable_act_quant=True,
                    disable_weight_quant=True,
                    disable_bias_quant=True,
                    is_training=False,
                ):
                    _show(solver, place, place.original_inputs[position])


def _show(solver: GPxQ, place: Place, inputs: Tensor) -> None:
    try:
        solver.update_batch(place.layer, (inputs,), LayerHandler())
    except StopFwdException:  # how Brevitas ends the forward pass that this is usually called from
        return


def solve(solver: GPTQ | GPFQ, place: Place, **settings: float) -> None:
    """Lets `solver`, which has seen the inputs, change the weights of its layer."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Failed to compute")
        try:
            solver.single_layer_update(**settings)
        except UserWarning:
            rule = "the inputs of a layer have a covariance that can be inverted"
            raise ValueError(
                f"{rule}, unlike those of {place.name!r}: use more calibration images or more damping"
            ) from None
