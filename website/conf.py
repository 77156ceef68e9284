"""How Sphinx builds the site from what build_tools/site.py has gathered."""

import hashlib
import os
from base64 import b64decode
from pathlib import Path

import nbformat
from docutils import nodes
from latex2mathml.converter import convert

project = "Fashion-MNIST with PyTorch"
html_title = project
language = "en"
extensions = ["myst_nb", "sphinx_copybutton"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # the lessons' numbers come in sentences and tables of Markdown
nb_code_prompt_show = "Show the code of this check"
nb_code_prompt_hide = "Hide the code of this check"

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}  # what the reader's system prefers, until they choose
html_sidebars = {"index": []}
repository = os.environ.get("SITE_REPOSITORY", "")
html_theme_options = {
    "logo": {"text": "Fashion-MNIST<span> with PyTorch</span>"},
    "icon_links": [{"name": "GitHub", "url": repository, "icon": "fa-solid fa-code-branch"}] if repository else [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_toc_level": 2,
    "navigation_with_keys": False,  # arrow keys scroll a wide table; they must not turn the page
    "secondary_sidebar_items": ["page-toc"],
    "article_header_end": [],
    "footer_start": [],
    "footer_end": [],
    "header_links_before_dropdown": 7,
}
# A prompt is no part of what a reader copies.
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
# Formulas are MathML, which browsers draw by themselves: no script, no font and no network. MathJax would make each
# page heavier by more than a megabyte.
html_math_renderer = "mathml"


def inline_formula(translator, node):
    """Write a formula within a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_formula(translator, node):
    """Write a formula on a line of its own."""
    translator.body.append(f'<div class="formula" tabindex="0">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def describe_pictures(app, doctree):
    """Give the figures of a notebook the alt texts that its outputs carry, which myst-nb leaves out."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    words = {}
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                name = hashlib.sha256(b64decode(output.data["image/png"])).hexdigest()
                words[name] = output.metadata.get("image/png", {}).get("alt", "")
    for picture in doctree.findall(nodes.image):
        name = Path(picture["uri"]).stem
        if name in words:
            picture["alt"] = words[name]


def setup(app):
    """Register what this file adds."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
    app.connect("doctree-read", describe_pictures)
