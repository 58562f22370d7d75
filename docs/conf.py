"""How Sphinx makes pages of docs/: every notebook among them is run."""

import os
import sys
from pathlib import Path

# The command of this very installation, and no progress bars, which pages cannot move.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ["TQDM_DISABLE"] = "1"

project = "stemlib"
author = "The stemlib developers"
extensions = ["myst_nb"]
# For those who develop stemlib; its diagram is drawn where the code is hosted.
exclude_patterns = ["architecture.md"]
html_theme = "pydata_sphinx_theme"
html_title = "stemlib"
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
}
html_sidebars = {"**": []}
html_show_sourcelink = False
html_copy_source = False
# GitHub's names of headings, which links inside the pages go by.
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
# Warnings and logs are no part of a page, and nothing on it is loaded from elsewhere.
nb_output_stderr = "remove"
nb_ipywidgets_js = {}
