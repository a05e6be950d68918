"""From a `Quantizer` to the Brevitas quantiser that does it, as an object and as source text.

Only here is it decided which class and which options of Brevitas a format means. Minifloats use
the `FpOCP*` classes with the largest value given: equal numbers to `brevitas.quant.float`, which
cannot be exported to QONNX, and any split, sign and reserved codes (Brevitas itself never checks
`bit_width` against the split).
"""

from dataclasses import dataclass
from typing import Any

import brevitas.quant.float_quant_ocp as minifloats
import brevitas.quant.mx_quant_ocp as shared
import brevitas.quant.none as unquantised
import brevitas.quant.scaled_int as integers
import torch
from brevitas.core.function_wrapper.ops_ste import CeilSte
from brevitas.core.scaling import IntScaling
from brevitas.proxy.groupwise_float_parameter_quant import GroupwiseWeightFloatQuantProxyFromInjector
from brevitas.proxy.groupwise_int_parameter_quant import GroupwiseWeightQuantProxyFromInjector

from hwdse.casts import Cast
from hwdse.design import Quantizer
from hwdse.formats import BinaryFormat, HalfFormat, IntFormat, check_weights, values

IMPORTS = (
    "from brevitas.core.function_wrapper.ops_ste import CeilSte",
    "from brevitas.core.scaling import IntScaling",
    "from brevitas.proxy.groupwise_float_parameter_quant import GroupwiseWeightFloatQuantProxyFromInjector",
    "from brevitas.proxy.groupwise_int_parameter_quant import GroupwiseWeightQuantProxyFromInjector",
    "from brevitas.quant.float_quant_ocp import *",
    "from brevitas.quant.mx_quant_ocp import *",
    "from brevitas.quant.none import NoneActQuant",
    "from brevitas.quant.scaled_int import *",
)
CLASSES = {  # that options name: of Brevitas, and ours
    "Cast": Cast,
    "CeilSte": CeilSte,
    "IntScaling": IntScaling,
    "GroupwiseWeightFloatQuantProxyFromInjector": GroupwiseWeightFloatQuantProxyFromInjector,
    "GroupwiseWeightQuantProxyFromInjector": GroupwiseWeightQuantProxyFromInjector,
}
MX_FORMATS = ("e2m1", "e2m3", "e3m2", "e4m3fn", "e5m2ieee", "int8")  # OCP MX v1.0, table 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Brevitas quantiser class and what it is `.let` with."""

    base: str
    options: tuple[tuple[str, bool | float | str | torch.dtype | None], ...]
    classes: tuple[tuple[str, str], ...] = ()  # options that are classes, by name

    @property
    def injector(self) -> Any:  # Brevitas injectors are classes made at run time
        """What Brevitas layers take as `weight_quant` or `act_quant`."""
        home = next(home for home in (shared, integers, minifloats, unquantised) if hasattr(home, self.base))
        classes = {key: CLASSES[name] for key, name in self.classes}
        return getattr(home, self.base).let(**dict(self.options), **classes)

    @property
    def source(self) -> str:
        """Python that makes `injector`, given `IMPORTS` and `Cast`."""
        options = [f"{key}={value!r}" for key, value in self.options]
        options += [f"{key}={name}" for key, name in self.classes]
        return f"{self.base}.let({', '.join(options)})"


def weight_recipe(quantizer: Quantizer) -> Recipe:
    """How Brevitas quantises weights this way; ValueError for a format of activations or a group without a rule.

    The scale is a parameter initialised from the weights, not recomputed from them: GPTQ and its
    kin change the weights column by column and silently lose accuracy otherwise.
    """
    _check_binary(quantizer)
    check_weights(quantizer.format)
    if not quantizer.format.signed:
        raise ValueError(f"weights have a signed format, not {quantizer.format.name}")
    extra: Options = (("scaling_impl_type", "parameter_from_stats"),)
    if quantizer.group is not None:
        return _groups_of_weights(quantizer, extra)
    granularity = "PerChannel" if quantizer.granularity == "channel" else "PerTensor"
    return _recipe(quantizer, f"Weight{granularity}Float", extra)


def activation_recipe(quantizer: Quantizer, dimension: int | None = None) -> Recipe:
    """How Brevitas quantises activations this way: with one scale, or in MX groups along `dimension` (batch: 0)."""
    _check_binary(quantizer)
    if isinstance(quantizer.format, HalfFormat):
        dtype = getattr(torch, quantizer.format.name)
        return Recipe("NoneActQuant", (("dtype", dtype),), (("tensor_quant", "Cast"),))
    if quantizer.granularity == "channel":
        raise ValueError("activations share a scale per tensor or MX group, not per channel")
    if quantizer.group is None:
        return _recipe(quantizer, "ActPerTensorFloat", ())
    if quantizer.scale != "po2" or quantizer.format.name not in MX_FORMATS:
        rule = f"activations in groups are MX: {', '.join(MX_FORMATS)} with po2"
        raise ValueError(f"{rule}, not {quantizer.name}")
    assert dimension is not None, "where groups run is known by who asks"
    return _mx(quantizer, "Act", (("group_dim", dimension),))


def _check_binary(quantizer: Quantizer) -> None:
    if isinstance(quantizer.format, BinaryFormat) and quantizer.group is not None:
        raise ValueError(f"binary has a scale per tensor or channel, unlike {quantizer.name}")


Options = tuple[tuple[str, bool | float | str | None], ...]


def _recipe(quantizer: Quantizer, kind: str, extra: Options) -> Recipe:
    prefix = "Int8" if isinstance(quantizer.format, IntFormat | BinaryFormat) else "FpOCP"
    mse = quantizer.calibration == "mse"
    options = (*_format_options(quantizer), *(() if mse else _statistics(quantizer)), *extra)
    if quantizer.scale == "po2":
        options = (*options, ("restrict_scaling_type", "power_of_two"))
    classes = (("restrict_value_float_to_int_impl", "CeilSte"),) if quantizer.scale == "po2" else ()
    return Recipe(f"{prefix}{kind}{'MSE' * mse}", options, classes)


def _groups_of_weights(quantizer: Quantizer, extra: Options) -> Recipe:
    """With a power of two for each group the rule of MX, for any format; else what a channel has, group by group."""
    if quantizer.scale == "po2":
        return _mx(quantizer, "Weight", extra)
    if quantizer.calibration != "absmax":
        raise ValueError(f"the scale of a group is of its largest value, not {quantizer.calibration}")
    channels = _recipe(quantizer, "WeightPerChannelFloat", extra)
    groups = (("scaling_per_output_type", "group"), ("group_size", quantizer.group))
    kind = "" if isinstance(quantizer.format, IntFormat) else "Float"
    proxy = ("proxy_class", f"GroupwiseWeight{kind}QuantProxyFromInjector")
    return Recipe(channels.base, (*channels.options, *groups), (*channels.classes, proxy))


def _mx(quantizer: Quantizer, kind: str, extra: Options) -> Recipe:
    """Shared exponents: the scale is 2**(floor(log2 max |x|) - floor(log2 of the format's largest value)).

    OCP Microscaling Formats v1.0, section 6.3. Brevitas 0.13.4 has the second exponent of an integer
    too high by one (it takes the logarithm of 2**(b-1), which is no value of a narrow integer), so
    that its `MXInt8` clips the upper half of what a group holds: `IntScaling` gives 2**(b-1) - 1.
    """
    if quantizer.calibration != "absmax":
        raise ValueError(f"the scale of a group is of its largest value, not {quantizer.calibration}")
    options = (*_format_options(quantizer), ("group_size", quantizer.group), *extra)
    if not isinstance(quantizer.format, IntFormat):
        return Recipe(f"MXFloat8e4m3{kind}", options)
    if not quantizer.narrow:
        raise ValueError(f"an integer with shared exponents leaves out its lone -2**(b-1), unlike {quantizer.name}")
    return Recipe(f"MXInt8{kind}", options, (("int_scaling_impl", "IntScaling"),))


def _format_options(quantizer: Quantizer) -> tuple[tuple[str, bool | float | str | None], ...]:
    fmt = quantizer.format
    if isinstance(fmt, BinaryFormat):  # BinaryQuant instead of RescalingIntQuant, and the same scales
        return (("quant_type", "BINARY"), ("bit_width", 1))
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
