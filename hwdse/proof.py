"""What was found when an accelerator was held against its network, and the network against Brevitas."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Compared:
    """How many codes were compared, and how many differ."""

    images: int = 0
    codes: int = 0  # of all tensors, and as many again in float32
    in_float64: int = 0  # that differ from the model's in float64
    in_float32: int = 0  # that differ from the model's in float32, each layer on the model's own codes
    unexplained: int = 0  # of those, that the roundings of float32 cannot explain
    logits: float = 0.0  # the largest difference of a logit from the model's in float64

    def __add__(self, other: "Compared") -> "Compared":
        """Of both together."""
        return Compared(
            self.images + other.images,
            self.codes + other.codes,
            self.in_float64 + other.in_float64,
            self.in_float32 + other.in_float32,
            self.unexplained + other.unexplained,
            max(self.logits, other.logits),
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """What simulation found."""

    images: int
    sums: int  # compared, with and without stalls
    wrong: int
    predicted: int  # cycles from image to image
    cycles: tuple[int, ...]  # that were found, at full speed, once the pipeline is full
    latency: int  # cycles from the first beat of the first image to its last sum

    @property
    def exact(self) -> bool:
        """Whether all is as the model says."""
        return self.wrong == 0 and set(self.cycles) == {self.predicted}
