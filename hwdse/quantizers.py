"""From a `Quantizer` to the Brevitas quantiser that does it, as an object and as source text.

Only here is it decided which class and which options of Brevitas a format means. Minifloats use
the `FpOCP*` classes with the largest value given: equal numbers to `brevitas.quant.float`, which
cannot be exported to QONNX, and any split, sign and reserved codes (Brevitas itself never checks
`bit_width` against the split).
"""

from dataclasses import dataclass
from typing import Any

import brevitas.quant.float_quant_ocp as minifloats
import brevitas.quant.scaled_int as integers
from brevitas.core.function_wrapper.ops_ste import CeilSte

from hwdse.design import Quantizer
from hwdse.formats import IntFormat, values

IMPORTS = (
    "from brevitas.core.function_wrapper.ops_ste import CeilSte",
    "from brevitas.quant.float_quant_ocp import *",
    "from brevitas.quant.scaled_int import *",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Brevitas quantiser class and what it is `.let` with."""

    base: str
    options: tuple[tuple[str, bool | float | str | None], ...]
    power_of_two: bool

    @property
    def injector(self) -> Any:  # Brevitas injectors are classes made at run time
        """What Brevitas layers take as `weight_quant` or `act_quant`."""
        home = integers if "Int8" in self.base else minifloats
        rounding = {"restrict_value_float_to_int_impl": CeilSte} if self.power_of_two else {}
        return getattr(home, self.base).let(**dict(self.options), **rounding)

    @property
    def source(self) -> str:
        """Python that makes `injector`, given `IMPORTS`."""
        options = [f"{key}={value!r}" for key, value in self.options]
        options += ["restrict_value_float_to_int_impl=CeilSte"] * self.power_of_two
        return f"{self.base}.let({', '.join(options)})"


def weight_recipe(quantizer: Quantizer) -> Recipe:
    """How Brevitas quantises weights this way; ValueError for an unsigned format or a group.

    The scale is a parameter initialised from the weights, not recomputed from them: GPTQ and its
    kin change the weights column by column and silently lose accuracy otherwise.
    """
    if not quantizer.format.signed:
        raise ValueError(f"weights have a signed format, not {quantizer.format.name}")
    if quantizer.group is not None:
        raise ValueError(f"weights share a scale per tensor or channel, not per {quantizer.granularity}")
    granularity = "PerChannel" if quantizer.granularity == "channel" else "PerTensor"
    return _recipe(quantizer, f"Weight{granularity}Float", (("scaling_impl_type", "parameter_from_stats"),))


def activation_recipe(quantizer: Quantizer) -> Recipe:
    """How Brevitas quantises activations this way; ValueError unless they share one scale."""
    if quantizer.granularity != "tensor":
        raise ValueError(f"activations share a scale per tensor, not per {quantizer.granularity}")
    return _recipe(quantizer, "ActPerTensorFloat", ())


def _recipe(quantizer: Quantizer, kind: str, extra: tuple[tuple[str, str], ...]) -> Recipe:
    prefix = "Int8" if isinstance(quantizer.format, IntFormat) else "FpOCP"
    mse = quantizer.calibration == "mse"
    options = (*_format_options(quantizer), *(() if mse else _statistics(quantizer)), *extra)
    if quantizer.scale == "po2":
        options = (*options, ("restrict_scaling_type", "power_of_two"))
    return Recipe(f"{prefix}{kind}{'MSE' * mse}", options, quantizer.scale == "po2")


def _format_options(quantizer: Quantizer) -> tuple[tuple[str, bool | float | str | None], ...]:
    fmt = quantizer.format
    if isinstance(fmt, IntFormat):
        narrow = quantizer.narrow and fmt.signed
        return (("bit_width", fmt.bits), ("signed", fmt.signed), ("narrow_range", narrow))
    return (
        ("bit_width", fmt.bits),
        ("exponent_bit_width", fmt.exponent),
        ("mantissa_bit_width", fmt.mantissa),
        ("signed", fmt.signed),
        ("max_available_float", max(values(fmt))),
        ("inf_values", None),
        ("nan_values", None),
    )


def _statistics(quantizer: Quantizer) -> tuple[tuple[str, float | str], ...]:
    if quantizer.percentile is None:
        return (("scaling_stats_op", "max"),)
    return (("scaling_stats_op", "percentile"), ("high_percentile_q", quantizer.percentile))
