"""The documentation site: `tox -e docs` builds it into docs/_build/html.

The command-line and card references are written from the program by docs/_extensions, the Python reference from docstrings.
"""

import dataclasses
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

import harness  # noqa: E402

project = "harness"
author = "the harness contributors"
project_copyright = author
version = release = harness.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "generated_pages", "program_blocks"]
exclude_patterns = ["_build", "_extensions"]
nitpicky = True
# Types of the standard library and of other packages, and aliases such as `Texts`: not described on this site.
nitpick_ignore_regex = [(r"py:(class|exc|data|obj)", r"(?!harness\.(Result|Baseline|Callback)).*")]
smartquotes = False  # quotes in help texts are to be typed

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# Docstrings are plain text with `code` in single backticks.
default_role = "code"
autodoc_mock_imports = ["torch"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
autodoc_default_options = {"members": True, "undoc-members": True, "exclude-members": "RANGES"}

copybutton_prompt_text = r"\$ |(head|node)\$ "
copybutton_prompt_is_regexp = True

linkcheck_timeout = 15
linkcheck_retries = 1
linkcheck_anchors = False

html_theme = "furo"
pygments_dark_style = "github-dark"  # the theme's own style underlines names
html_title = "harness"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def without_fields(app, kind, name, value, options, signature, result):
    """No arguments in the title of a dataclass: they are its fields, which follow."""
    return ("", None) if kind == "class" and dataclasses.is_dataclass(value) else None


def with_links(app, kind, name, value, options, lines):
    """Links to the pages that a docstring names by their path, such as docs/reference/settings.md."""
    lines[:] = [re.sub(r"docs/([\w/-]+)\.md", r":doc:`/\1`", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-signature", without_fields)
    app.connect("autodoc-process-docstring", with_links)
