"""The wheel holds the package with its galleries and nothing else, and works from an empty folder."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMPORT_NAMES = {"ruamel-yaml": "ruamel", "protobuf": "google"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("intaccel-*.whl")
    return path


def test_it_holds_the_package_and_nothing_else_at_top_level(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"accel"}
    assert len(tops) == 2
    assert "accel/py.typed" in names
    assert "accel/_gallery/models/machines/edge-32x32.yaml" in names
    assert "accel/_gallery/models/dram/lpddr4-3200.yaml" in names
    assert "accel/_gallery/workloads/digits_resnet8/int8.onnx" in names
    hardware = [path for path in (ROOT / "accel" / "rtl").rglob("*") if path.suffix in (".sv", ".cpp", ".h")]
    assert {str(path.relative_to(ROOT)) for path in hardware} <= set(names)
    assert {path.suffix for path in hardware} == {".sv", ".cpp", ".h"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_every_import_is_a_declared_dependency(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    requires = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist") or []
    needed = [re.match(r"[\w.-]+", line)[0] for line in requires if "extra ==" not in line]  # type: ignore[index]
    names = [name.lower().replace(".", "-") for name in needed]
    declared = {IMPORT_NAMES.get(name, name).replace("-", "_") for name in names}
    imported = set()
    for path in (ROOT / "accel").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"accel"}
    assert foreign <= declared | {"pydantic_core"}  # pydantic's own other half
    assert declared <= foreign


def test_the_installed_command_runs_the_demo_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own; libraries come from this one's, which is read without its editable install."""
    environment, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL", "COV"))}
    clean["PYTHONPATH"] = sysconfig.get_paths()["purelib"]
    accel = environment / "bin" / "accel"
    where = "import accel; print(accel.__file__)"
    found = subprocess.run([python, "-c", where], cwd=empty, env=clean, check=True, capture_output=True, text=True)
    assert found.stdout.startswith(str(environment))
    demo = [accel, "run", "digits-resnet8", "--arch", "edge-32x32", "--images", "4", "--out", "results"]
    ran = subprocess.run(demo, cwd=empty, env=clean, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Latency" in ran.stdout
    assert (empty / "results" / "result.json").is_file()
    ran = subprocess.run([accel, "rtl", "edge-32x32", "--out", "rtl"], cwd=empty, env=clean, check=False)
    assert ran.returncode == 0
    assert (empty / "rtl" / "files.f").is_file()
    made = [accel, "networks", "make", "resnet20", "--out", "resnet20"]
    ran = subprocess.run(made, cwd=empty, env=clean, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in empty.iterdir()) == ["resnet20", "results", "rtl"]
