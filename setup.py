"""What an installation holds: one package, `xlift`, whose folder `source` is laid out as this checkout is.

pip install .         # site-packages/xlift/{__init__.py, source/{harness,models,tasks,run_eval.py}}
pip install -e .      # for development: the rooms are found where they lie, under their own names

`harness/library/xlift/__init__.py` says where Python finds `harness` and `models` then.  All else stands in setup.cfg.
"""

import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
ROOMS = [name for name in find_packages(str(ROOT), include=["harness*", "models*"]) if "xlift" not in name]
DATA = ["*.yaml", "*.json", "*.j2", "*.js", "*.css"]
FOLDERS = [ROOT / "models" / "presets", *(path for path in [ROOT / "tasks", *(ROOT / "tasks").rglob("*")] if path.is_dir())]
"Folders of YAML files alone."


class ModuleBuild(build_py):
    """The modules of each package, without this file."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """(package, module, file) of the modules in a folder."""
        found = super().find_package_modules(package, package_dir)
        return [each for each in found if Path(each[2]).resolve() != ROOT / "setup.py"]


if "editable_wheel" in sys.argv:
    setup(packages=[*ROOMS, "xlift"], py_modules=["run_eval"], package_dir={"xlift": "harness/library/xlift"})
else:
    shipped = [*ROOMS, *(".".join(path.relative_to(ROOT).parts) for path in FOLDERS)]
    setup(
        packages=["xlift", "xlift.source", *(f"xlift.source.{name}" for name in shipped)],
        package_dir={
            "xlift": "harness/library/xlift",
            "xlift.source": ".",  # run_eval.py
            **{f"xlift.source.{name}": name for name in ("harness", "models", "tasks")},
        },
        cmdclass={"build_py": ModuleBuild},
        package_data={"": DATA},
        include_package_data=False,
    )
