"""The templates beside this file, filled in with everything escaped and nothing missing."""

import re
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

_ENVIRONMENT = Environment(
    loader=PackageLoader("hwdse", "report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def keep(text: str) -> str:
    """`text` with numbers and their units kept on one line."""
    return re.sub(r"(?<=\d) (?=[%A-Za-z])|(?<=\d x) ", "\N{NO-BREAK SPACE}", text)


_ENVIRONMENT.filters["keep"] = keep


def template(name: str) -> Template:
    """The template in the file `name`."""
    return _ENVIRONMENT.get_template(name)


def verbatim(name: str) -> str:
    """The text of the file `name`, to be put into a page as it is."""
    return (files("hwdse.report") / name).read_text("utf-8")
