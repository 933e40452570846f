"""The project's sources as a wheel, made with nothing but the standard library.

A pack must be made where no build tool is installed, and `pip install --no-index` must take what it made,
given the libraries. The format: Python packaging's "Binary distribution format" (PEP 427), RECORD as in PEP
376.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from pipeline.libraries import NAME, requirements
from pipeline.submitting.code_version import PACKAGES

_FILE = NAME.replace("-", "_")  # a hyphen parts name from version
_DATE = (2020, 1, 1, 0, 0, 0)  # the same sources give the same bytes


def write_wheel(project: Path, folder: Path, version: str) -> Path:
    """Write <folder>/forecast_workbench-<version>-py3-none-any.whl from the packages in `project`."""
    information = f"{_FILE}-{version}.dist-info"
    content = {
        file.relative_to(project).as_posix(): file.read_bytes()
        for package in PACKAGES
        for file in sorted((project / package).rglob("*"))
        if file.is_file()
    }
    texts = {
        "METADATA": "\n".join(_metadata(version)) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: forecast-workbench\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        "entry_points.txt": "[console_scripts]\nworkbench = pipeline.run:main\n",
        "top_level.txt": "\n".join(PACKAGES) + "\n",
    }
    content |= {f"{information}/{name}": text.encode() for name, text in texts.items()}
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in content.items()]
    content[f"{information}/RECORD"] = "\n".join([*record, f"{information}/RECORD,,", ""]).encode()
    target = folder / f"{_FILE}-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return target


def _metadata(version: str) -> list[str]:
    """With the ranges that the project declares: libraries that are there may be newer than a pack's."""
    lines = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {version}", "Requires-Python: >=3.11"]
    for extra, texts in requirements().items():
        lines += [f"Provides-Extra: {extra}"] if extra else []
        marker = f"; extra == '{extra}'" if extra else ""
        lines += [f"Requires-Dist: {text}{marker}" for text in texts]
    return lines


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
