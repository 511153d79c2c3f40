"""Where the galleries are: machines, DRAM devices and technologies in ``models``, networks in ``workloads``.

The wheel carries both inside the package (``accel/_gallery``); a source checkout has them at its root.
"""

from __future__ import annotations

from pathlib import Path

from accel.errors import AccelError

_PACKAGE = Path(__file__).resolve().parent


def models_dir() -> Path:
    """The folder that holds ``machines/``, ``dram/``, ``technology/`` and the machines' JSON Schema."""
    return _folder("models")


def workloads_dir() -> Path:
    """The folder of the networks."""
    return _folder("workloads")


def machines() -> list[Path]:
    """The gallery's machine files, by name."""
    return sorted((models_dir() / "machines").glob("*.yaml"))


def technologies() -> list[Path]:
    """The gallery's technology files, by name."""
    return sorted((models_dir() / "technology").glob("*.yaml"))


def drams() -> list[Path]:
    """The gallery's DRAM devices, by name."""
    return sorted((models_dir() / "dram").glob("*.yaml"))


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_gallery" / name
    if installed.is_dir():
        return installed
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise AccelError(
        f"the gallery folder '{name}' is missing", str(installed), "reinstall intaccel; its wheel carries the galleries"
    )
