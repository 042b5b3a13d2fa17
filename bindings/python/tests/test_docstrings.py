"""The examples of docstrings, run; and what every public name documents."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil

import numpy as np
import pytest

import usp

MODULES = sorted(module.name for module in pkgutil.iter_modules(usp.__path__))


def examples():
    """Each docstring with examples, under its name."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        if name == "torch" and importlib.util.find_spec("torch") is None:
            continue
        module = importlib.import_module(f"usp.{name}")
        for test in finder.find(module, globs={"usp": usp, "np": np}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_examples(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures = []
    doctest.DocTestRunner().run(test, out=failures.append)
    assert not failures, "".join(failures)


def public():
    """Classes and functions that `usp` and its public modules hold."""
    for name, value in vars(usp).items():
        if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
            yield pytest.param(value, id=name)


@pytest.mark.parametrize("value", list(public()))
def test_documented(value):
    assert inspect.getdoc(value)


def test_main_classes_have_examples():
    shown = {test.id.split(".")[-1] for test in examples()}
    models = {name for name, value in vars(usp).items()
              if inspect.isclass(value) and "create" in vars(value)}
    assert models <= shown
    assert {"Trainer", "Data", "Run", "Transport", "Diffusion", "Checkpoint", "transfer"} <= shown
