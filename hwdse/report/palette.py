"""The colours of the report by what they mean, each for a light and a dark page; one home for HTML, Plotly and SVG.

The three families are blue, vermillion and bluish green: told apart with any of the common colour
blindnesses (Okabe and Ito 2008, "Color Universal Design", figure 16), and by shape as well.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour of the page."""

    role: str
    light: str  # on white, and in the SVG files
    dark: str  # on near-black


COLOURS = (
    Colour("ink", "#1c2733", "#e9edf2"),
    Colour("muted", "#5c6776", "#9daaba"),
    Colour("grid", "#e4e8ed", "#2d3743"),
    Colour("page", "#f4f6f8", "#10151b"),
    Colour("card", "#ffffff", "#19212a"),
    Colour("integer", "#1f6fb2", "#5badf0"),
    Colour("minifloat", "#d55e00", "#ff8f45"),
    Colour("mixed", "#0b8a68", "#34c79d"),
    Colour("good", "#0b7a4b", "#43c98b"),
    Colour("bad", "#b3261e", "#ff8a80"),
    Colour("warn", "#fff4d6", "#3a3013"),
    # The parts of a layer's area: Paul Tol's 'bright' scheme (SRON/EPS/TN/09-002, issue 3.2, figure 1).
    Colour("part0", "#4477aa", "#4477aa"),
    Colour("part1", "#ee6677", "#ee6677"),
    Colour("part2", "#228833", "#228833"),
    Colour("part3", "#ccbb44", "#ccbb44"),
    Colour("part4", "#66ccee", "#66ccee"),
    Colour("part5", "#aa3377", "#aa3377"),
    Colour("part6", "#bbbbbb", "#bbbbbb"),
)
LIGHT = {colour.role: colour.light for colour in COLOURS}
