"""Small studies, of which a test says what is special."""

from collections.abc import Sequence

HEAD = """
question = "Does it hold together?"
[model]
name = "{network}"
[data]
name = "digits"
[formats]
weights = [{weights}]
[target]
device = "{device}"
clock_mhz = {clock_mhz}
frames_per_second = {frames}
{target}
"""


def study(
    rest: str,
    *,
    weights: Sequence[str] = ("int8", "int3", "e2m1"),
    network: str = "digits-mlp",
    device: str = "ecp5_25f",
    clock_mhz: int = 100,
    frames: int = 1000,
    target: str = "",
    metrics: Sequence[str] = ("top1", "lut"),
) -> str:
    """The text of a study that ends in `rest`; `target` is more of that section."""
    formats = ", ".join(f'"{name}"' for name in weights)
    places = {"network": network, "device": device, "clock_mhz": clock_mhz, "frames": frames, "target": target}
    head = HEAD.format(weights=formats, **places)
    return head + "".join(f'[[objectives]]\nmetric = "{metric}"\n' for metric in metrics) + rest
