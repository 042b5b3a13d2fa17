"""The documentation site: guides in Markdown, C from the header by Doxygen, Python from docstrings."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "bindings" / "python"))

project = "usp"
author = "the usp authors"
copyright = "the usp authors, Apache-2.0"
release = version = subprocess.run(
    [str(ROOT / "scripts" / "version.sh")], capture_output=True, text=True, check=True).stdout.strip()

extensions = ["myst_parser", "breathe", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"usp {version}"
html_copy_source = False
html_show_sphinx = False
exclude_patterns = ["site", "families"]
suppress_warnings = ["myst.xref_missing"]  # links of developers' pages to files of the repository
breathe_projects = {"usp": str(ROOT / ".build" / "docs" / "doxygen" / "xml")}
breathe_default_project = "usp"
breathe_domain_by_extension = {"h": "c"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False


def c_pages():
    """A page for each header: its name, what its first line is about, all that it declares."""
    for header in sorted((ROOT / "include" / "usp").glob("*.h")):
        about = re.search(r"/\* -+ \w[^:]*: (.*?) -+ ?\*/", header.read_text())
        title = f"{header.stem}: {about[1]}" if about else header.stem
        yield header.stem, f"# {title}\n\n```{{eval-rst}}\n.. doxygenfile:: {header.name}\n```\n"


def python_pages():
    """A page for each public class, and one for each public module with its functions."""
    import usp

    functions = [name for name, value in vars(usp).items()
                 if inspect.isfunction(value) and not name.startswith("_")]
    errors = [name for name, value in vars(usp).items()
              if inspect.isclass(value) and issubclass(value, Exception)]
    yield "functions", "# Functions\n\n" + "".join(
        f"```{{eval-rst}}\n.. autofunction:: usp.{name}\n```\n" for name in functions)
    yield "errors", "# Errors\n\n" + "".join(
        f"```{{eval-rst}}\n.. autoexception:: usp.{name}\n```\n" for name in errors)
    for name, value in vars(usp).items():
        if inspect.isclass(value) and name not in errors and not name.startswith("_"):
            yield name, (f"# {name}\n\n```{{eval-rst}}\n.. autoclass:: usp.{name}\n   :members:\n"
                         "   :inherited-members: tuple, int, ndarray\n   :undoc-members:\n```\n")
        elif inspect.ismodule(value) and value.__name__.startswith("usp.") and name in (
                "alignment", "augment", "evaluate", "images", "position_embedding", "random",
                "segmentation"):
            yield name, (f"# usp.{name}\n\n```{{eval-rst}}\n.. automodule:: {value.__name__}\n"
                         "   :members:\n```\n")


def family_pages():
    """A page for each family of models: what docs/families says, its sizes, its published names."""
    tables = json.loads((ROOT / ".build" / "docs" / "tables.json").read_text())
    for family in tables["families"]:
        name, page = family["name"], f"# {family['name']}\n\n"
        page += f"```{{include}} ../../families/{name}.md\n```\n"
        if family["table"]["fields"]:
            page += "\n## Sizes\n\nEach is an argument of `create`, and a field of `config`.\n\n"
            page += "| field | default | what it is |\n|---|---|---|\n"
            for field in family["table"]["fields"]:
                default = dict(SIZE.findall(family["defaults"])).get(field["name"], "")
                page += f"| `{field['name']}` | {default} | {field['sentence']} {field['range']} |\n"
        if family["presets"]:
            page += "\n## Published names\n\n| name | what differs from the defaults |\n|---|---|\n"
            for preset in family["presets"]:
                differs = [f"{key}={value}" for key, value in SIZE.findall(preset["text"])
                           if (key, value) not in SIZE.findall(family["defaults"])]
                page += f"| {preset['name']} | {' '.join(differs) or 'nothing'} |\n"
        yield name, page


SIZE = re.compile(r'(\w+)=("[^"]*"|\S+)')


def write_reference(_app):
    for kind, pages in (
            ("c", c_pages()), ("python", python_pages()), ("families", family_pages())):
        folder = DOCS / "reference" / kind
        folder.mkdir(parents=True, exist_ok=True)
        written = {f"{name}.md": text for name, text in pages}
        for old in folder.glob("*.md"):
            if old.name not in written:
                old.unlink()
        for name, text in written.items():
            file = folder / name
            if not file.exists() or file.read_text() != text:
                file.write_text(text)


def setup(app):
    app.connect("builder-inited", write_reference)
