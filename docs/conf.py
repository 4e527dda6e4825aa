"""How Sphinx makes the site: `make docs`. The navigation stands in index.md, and nowhere else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

from zoo_core.version import __version__

project = "zoo"
author = "The zoo developers"
copyright = f"{author}, Apache-2.0"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "navigation",
    "docstrings",
    "commands",
    "names",
    "catalogue",
    "links",
    "accessible",
    "chapter",
    "mathml",
]
exclude_patterns = ["_site", "examples/*/tests/*"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
default_role = "code"
nitpicky = False

# --- Markdown: as it stands in the repository, so that it reads well there, too
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # `text` that looks like a language

# --- the chapter: its pages are notebooks, executed once and again when their cells change
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "notebooks")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 600  # seconds for a cell: on a machine that is busy
nb_merge_streams = True
nb_output_stderr = "error"  # a word in red is a fault
nb_code_prompt_show = nb_code_prompt_hide = "How this is drawn"  # folded by hide-input
nb_ipywidgets_js = {}  # no script from elsewhere

# --- the reference
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
viewcode_line_numbers = True

# --- what it looks like. Nothing is fetched when it is read: fonts are the system's.
html_theme = "furo"
html_title = f"zoo {release}"
html_static_path = ["_site/static"]
html_css_files = ["zoo.css"]
html_show_search_summary = False  # it would be fetched, which a browser refuses for files
html_show_sphinx = False
html_domain_indices = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5fae", "color-brand-content": "#0b5fae"},
    "dark_css_variables": {"color-brand-primary": "#7cb8f5", "color-brand-content": "#7cb8f5"},
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
