"""Which tensors matter: how the loss of the baseline rises where one has another format, as a map and in words."""

from dataclasses import dataclass
from statistics import fmean

from hwdse.design import Quantizer
from hwdse.formats import family
from hwdse.report.quantities import percent
from hwdse.result import Result, Sensitivity

NAMED = 3  # places that the words name at either end
KINDS = {"weights": "weights of", "activations": "activations at"}  # a panel each, from top to bottom


@dataclass(frozen=True, slots=True)
class Cell:
    """One tensor in one format."""

    column: int
    rise: float | None  # of the mean cross entropy over the baseline's, nats; None: it could not be evaluated
    hover: str  # lines separated by newlines


@dataclass(frozen=True, slots=True)
class Line:
    """One place with the formats that it may have."""

    place: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """The weights, or the activations, in network order."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Width:
    """Neighbouring columns of formats of as many bits."""

    bits: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Places by formats; formats by their bits, then integers before minifloats."""

    columns: tuple[str, ...]
    widths: tuple[Width, ...]
    panels: tuple[Panel, ...]

    @property
    def largest(self) -> float:
        """The largest rise of all."""
        rises = (cell.rise for panel in self.panels for line in panel.lines for cell in line.cells)
        return max((rise for rise in rises if rise is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A place, and how its formats raise the loss on average."""

    kind: str
    place: str
    rise: float  # nats

    @property
    def text(self) -> str:
        """`weights of conv1 (+0.0105)`."""
        return f"{KINDS[self.kind]} {self.place} ({self.rise:+.3g})"


def heat_map(result: Result) -> HeatMap | None:
    """The map; None where the study did not ask for sensitivities."""
    if result.baseline is None or not result.sensitivities:
        return None
    several = len({Quantizer.parse(o.written).granularity for o in result.sensitivities if o.kind == "weights"}) > 1
    labels = {one: _label(one, several) for one in result.sensitivities}
    columns = tuple(sorted(set(labels.values()), key=_order))
    bits = [Quantizer.parse(label).format.bits for label in columns]
    widths = tuple(Width(b, bits.index(b), len(bits) - 1 - bits[::-1].index(b)) for b in dict.fromkeys(bits))
    at = {one: columns.index(label) for one, label in labels.items()}
    panels = (Panel(title, _lines(result, kind, at)) for kind, title in KINDS.items())
    return HeatMap(columns, widths, tuple(panel for panel in panels if panel.lines))


def ranking(result: Result) -> tuple[Ranked, ...]:
    """The places with the longest menu, the most sensitive first: what has fewer formats is not comparable."""
    menus: dict[tuple[str, str], list[float]] = {}
    for one in result.sensitivities:
        rise = risen(result, one)
        if rise is not None:
            menus.setdefault((one.kind, one.place), []).append(rise)
    longest = max(map(len, menus.values()), default=0)
    found = [Ranked(kind, place, fmean(rises)) for (kind, place), rises in menus.items() if len(rises) == longest]
    return tuple(sorted(found, key=lambda ranked: -ranked.rise))


def risen(result: Result, one: Sensitivity) -> float | None:
    """How much higher than the baseline's the loss is, in nats."""
    assert result.baseline is not None, "sensitivities are those of a baseline"
    return None if one.loss is None else one.loss - result.trial(result.baseline).evaluation.accuracy("search").loss


def in_words(result: Result) -> tuple[str, ...]:
    """Which places are the most and the least sensitive, and what was not evaluated."""
    ranked = ranking(result)
    most, rest = ranked[:NAMED], ranked[NAMED:]
    said = [f"Most sensitive: {', '.join(one.text for one in most)}."] * bool(most)
    said += [f"Least sensitive: {', '.join(one.text for one in reversed(rest[-NAMED:]))}."] * bool(rest)
    failed = sum(one.loss is None for one in result.sensitivities)
    said += [f"{failed} of {len(result.sensitivities)} could not be evaluated and are left blank."] * bool(failed)
    return tuple(said)


def _label(one: Sensitivity, several: bool) -> str:
    """The column: the format, with the granularity of weights where there are several."""
    quantizer = Quantizer.parse(one.written)
    shown = quantizer.granularity if several and one.kind == "weights" else "tensor"
    return Quantizer(quantizer.format, shown).name


def _order(label: str) -> tuple[int, bool, str]:
    fmt = Quantizer.parse(label).format
    return fmt.bits, family(fmt) == "minifloat", label


def _lines(result: Result, kind: str, at: dict[Sensitivity, int]) -> tuple[Line, ...]:
    own = [one for one in result.sensitivities if one.kind == kind]
    places = dict.fromkeys(one.place for one in own)
    return tuple(
        Line(place, tuple(_cell(result, one, at[one]) for one in own if one.place == place)) for place in places
    )


def _cell(result: Result, one: Sensitivity, column: int) -> Cell:
    rise = risen(result, one)
    said = [f"{KINDS[one.kind]} {one.place} as {one.quantizer}"]
    if rise is None or one.top1 is None:
        said += ["could not be evaluated"]
    else:
        said += [f"cross entropy {rise:+.4f} nat against the baseline", f"top-1 {percent(one.top1)}, search split"]
    if one.sqnr_db is not None:
        said += [f"SQNR of the logits {one.sqnr_db:.1f} dB"]
    return Cell(column, rise, "\n".join(said))
