"""Calls of C++ templates, and the streams between them.

Each call works on one image and then ends; in hardware it begins with the next one, whatever the others do. That
decides how deep streams are: see `Wires.operand`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm

from hwdse.memory import FIFO_WORDS

DEPTH = FIFO_WORDS  # beats of a stream: what the shift register of a LUT6 holds

Parameters = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Channel:
    """A stream between two calls: beats of so many bits, and room for so many beats."""

    name: str
    bits: int
    depth: int = DEPTH


@dataclass(frozen=True, slots=True)
class Call:
    """A template with its arguments, the streams that it reads and then those that it writes, and arrays."""

    template: str
    parameters: tuple[tuple[str, int | str], ...]
    streams: tuple[str, ...]
    arrays: tuple[str, ...] = ()
    layer: str = ""  # that it is a part of


@dataclass
class Wires:
    """Calls as they are added, each behind those whose streams it reads."""

    calls: list[Call] = field(default_factory=list)
    channels: dict[str, Channel] = field(default_factory=dict)
    layer: str = ""  # whose calls are added

    def call(
        self, template: str, parameters: Parameters, streams: Sequence[str], bits: int, arrays: Sequence[str] = ()
    ) -> str:
        """The stream, of `bits` bits a beat, that a new call writes."""
        out = self._channel(template, bits)
        self._add(template, parameters, (*streams, out), tuple(arrays))
        return out

    def leave(self, template: str, parameters: Parameters) -> None:
        """Adds the call that writes the port `out`, and reads what the last call writes."""
        self._add(template, parameters, (self.calls[-1].streams[-1], "out"))

    def branch(self, stream: str, beats: int) -> tuple[str, str]:
        """The same stream, of `beats` beats an image, for all other readers and for one."""
        bits = self.channels[stream].bits
        one, others = self._channel("branch", bits), self._channel("branch", bits)
        self._add("branch", {"BITS": bits, "BEATS": beats}, (stream, one, others))
        return others, one

    def widened(self, stream: str, lanes: int, wanted: int, elements: int) -> str:
        """A stream of `elements` an image with another number of them in a beat.

        It goes by way of a beat that holds whole ones of both.
        """
        element, whole = self.channels[stream].bits // lanes, lcm(lanes, wanted)
        for before, after in ((lanes, whole), (whole, wanted)):
            if before != after:
                named = {"ELEMENT": element, "IN": before, "OUT": after, "ELEMENTS": elements}
                stream = self.call("width", named, [stream], element * after)
        return stream

    def operand(self, stream: str, beats: int) -> None:
        """Gives an operand of an add room for an image of `beats` beats.

        So nobody waits for ever. A call ends once it has read an image and has had room for its results, and an add
        has taken all of the image before: what leads to one operand finishes an image whatever becomes of the other.
        """
        bits = self.channels[stream].bits
        self.channels[stream] = Channel(stream, bits, max(beats, DEPTH))

    def _add(
        self, template: str, parameters: Parameters, streams: tuple[str, ...], arrays: tuple[str, ...] = ()
    ) -> None:
        self.calls.append(Call(template, tuple(parameters.items()), streams, arrays, self.layer))

    def _channel(self, made_by: str, bits: int) -> str:
        name = f"s{len(self.channels)}_{made_by}"
        self.channels[name] = Channel(name, bits)
        return name
