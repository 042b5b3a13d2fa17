"""Builds the wheel from a checkout: Python files, and by scripts/payload.sh what they call.

USP_SYSTEM_LIBRARY=1 leaves the library out, for a system that has libusp.so installed.
USP_WHEEL_PLATFORM names the platform of the wheel; `make wheel` sets what auditwheel confirms.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
CHECKOUT = Path(os.environ.get("USP_CHECKOUT", HERE.parents[1]))
PURE = os.environ.get("USP_SYSTEM_LIBRARY") == "1"


def version():
    text = (HERE / "usp" / "_abi.py").read_text()
    return ".".join(re.search(rf"^USP_VERSION_{part} = (\d+)$", text, re.M)[1]
                    for part in ("MAJOR", "MINOR", "PATCH"))


class BuildWithLibrary(build_py):
    def run(self):
        shutil.rmtree(Path(self.build_lib) / "usp", ignore_errors=True)  # of an earlier build
        super().run()
        if PURE or self.editable_mode:
            return
        script = CHECKOUT / "scripts" / "payload.sh"
        if not script.exists():
            raise SystemExit(
                f"usp: {script} is missing: the library is built from a whole checkout. With "
                "libusp.so installed, USP_SYSTEM_LIBRARY=1 installs the Python files alone.")
        folder = Path(self.build_lib).resolve() / "usp" / "lib"
        if subprocess.run([script, folder]).returncode != 0:
            raise SystemExit("usp: the library was not built; the lines above say why.")


class PlatformWheel(bdist_wheel):
    """One wheel for every Python: nothing in it is compiled against one."""

    def get_tag(self):
        if PURE:
            return "py3", "none", "any"
        return "py3", "none", os.environ.get("USP_WHEEL_PLATFORM", "linux_x86_64")

    def egg2dist(self, egginfo_path, distinfo_path):
        super().egg2dist(egginfo_path, distinfo_path)
        folder = Path(distinfo_path) / "licenses"
        folder.mkdir(exist_ok=True)
        texts = [CHECKOUT / "LICENSE", CHECKOUT / "NOTICE"]
        texts += sorted((CHECKOUT / "packaging" / "licences").glob("*"))
        jpeg = os.environ.get("USP_JPEG_LICENCE", "/usr/share/doc/libjpeg62-turbo/copyright")
        if not PURE and os.path.exists(jpeg):
            shutil.copyfile(jpeg, folder / "libjpeg-turbo.txt")
        for text in texts:
            if text.exists():
                shutil.copyfile(text, folder / text.name)


class WithLibrary(Distribution):
    def has_ext_modules(self):
        return not PURE


setup(
    version=version(),
    distclass=WithLibrary,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
)
