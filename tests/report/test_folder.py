"""Result folders: whole or not at all, and never at the cost of someone's files."""

import dataclasses
import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from accel.errors import AccelError
from accel.report import folder as folder_module
from accel.report.csv import layers_csv
from accel.report.folder import check_writable, write_results
from accel.result import Result

from .synthetic import digits, estimate, without_layers

OUTPUTS = {
    "/fc/Gemm_output_0": np.arange(-5, 5, dtype=np.int8).reshape(1, 10),
    "file": np.array(7, dtype=np.int64),
}
WITHOUT_PLOTS = ["layers.csv", "occupancy.csv", "report.html", "result.json"]


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in tree(folder) if (folder / name).is_file()}


def message(out, overwrite=False):
    with pytest.raises(AccelError) as caught:
        check_writable(out, overwrite=overwrite)
    with pytest.raises(AccelError) as again:
        write_results(digits(), out, overwrite=overwrite)
    assert str(again.value) == str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of results, with everything that results can hold."""
    out = tmp_path_factory.mktemp("written") / "results"
    write_results(digits(), out, arrays=OUTPUTS)
    return out


@pytest.fixture
def results(written, tmp_path):
    """The same, to be changed."""
    shutil.copytree(written, tmp_path / "results")
    return tmp_path / "results"


def test_what_is_written(written):
    plots = [
        f"plots/{name}.{kind}"
        for name in ("cycles", "energy", "error", "occupancy", "roofline")
        for kind in ("png", "svg")
    ]
    assert tree(written) == [
        "layers.csv",
        "occupancy.csv",
        "outputs.npz",
        "plots",
        *plots,
        "report.html",
        "result.json",
    ]
    assert Result.from_json((written / "result.json").read_text()) == digits()
    assert (written / "layers.csv").read_text() == layers_csv(digits())
    assert list(written.parent.iterdir()) == [written]  # nothing unfinished beside it


def test_returned_are_the_files(tmp_path):
    files = write_results(estimate(digits()), tmp_path / "r", plots=False)
    assert files == [tmp_path / "r" / name for name in WITHOUT_PLOTS]
    assert all(path.is_file() for path in files)


def test_outputs_read_back(results):
    with np.load(results / "outputs.npz", allow_pickle=False) as archive:
        assert set(archive) == set(OUTPUTS)
        for name, array in OUTPUTS.items():
            assert archive[name].dtype == array.dtype
            np.testing.assert_array_equal(archive[name], array)
            assert archive[name].shape == array.shape


def test_same_results_same_bytes(written, tmp_path):
    write_results(digits(), tmp_path / "again", arrays=OUTPUTS)
    assert contents(tmp_path / "again") == contents(written)


def test_no_layers(tmp_path):
    write_results(without_layers(digits()), tmp_path / "r")
    assert tree(tmp_path / "r") == ["layers.csv", "report.html", "result.json"]


def test_checking_leaves_nothing(tmp_path):
    check_writable(tmp_path / "new")
    check_writable(tmp_path)
    assert tree(tmp_path) == []


def test_an_empty_folder_is_kept_and_filled(tmp_path, monkeypatch):
    """It may be a mount point, or where the shell stands."""
    out = tmp_path / "out"
    out.mkdir()
    inode = out.stat().st_ino
    monkeypatch.chdir(out)
    write_results(digits(), Path("."), plots=False)
    assert out.stat().st_ino == inode
    assert tree(out) == WITHOUT_PLOTS


def test_a_link_to_a_folder_is_that_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_results(digits(), tmp_path / "link", plots=False)
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "real") == WITHOUT_PLOTS


def test_earlier_results_are_kept_unless_asked(results):
    before = contents(results)
    assert (
        message(results) == f"{results}: the folder holds earlier results; name another, or replace them: --overwrite"
    )
    assert contents(results) == before


def test_earlier_results_are_replaced_whole(results):
    """No plot of the earlier run survives beside the later one's record."""
    write_results(estimate(digits()), results, plots=False, overwrite=True)
    assert Result.from_json((results / "result.json").read_text()).kind == "estimate"
    assert tree(results) == WITHOUT_PLOTS


def test_another_file_is_never_lost(results):
    (results / "notes.txt").write_text("mine")
    before = contents(results)
    expected = (
        f"{results}: the folder holds files that are no results (notes.txt); "
        "name a new or an empty folder for the results"
    )
    assert message(results, overwrite=True) == expected
    assert contents(results) == before


@pytest.mark.parametrize("place", ["plots/mine.txt", "outputs/deep/file", ".hidden"])
def test_nor_further_down(results, place):
    (results / place).parent.mkdir(parents=True, exist_ok=True)
    (results / place).write_text("mine")
    assert "holds files that are no results" in message(results, overwrite=True)


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"network": 1, "machine": 2}'])
def test_a_result_json_of_someone_else_is_not_ours(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    assert "files that are no results (result.json)" in message(tmp_path, overwrite=True)
    assert (tmp_path / "result.json").read_text() == text


def test_many_foreign_files_are_not_all_listed(tmp_path):
    for name in "dcbae":
        (tmp_path / name).touch()
    assert "(a, b, c, ...)" in message(tmp_path)


def test_a_file_is_in_the_way(tmp_path):
    (tmp_path / "f").write_text("mine")
    out = tmp_path / "f"
    assert message(out) == f"{out}: this is not a folder; name a new or an empty folder for the results"
    assert out.read_text() == "mine"


def test_a_broken_link_is_in_the_way(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert "this is not a folder" in message(tmp_path / "link")


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "f").touch()
    out = tmp_path / "f" / "out"
    assert message(out) == f"{out}: {tmp_path / 'f'} is not a folder; name a new or an empty folder for the results"


def test_a_parent_is_missing(tmp_path):
    out = tmp_path / "a" / "b" / "c"
    check_writable(out)
    assert tree(tmp_path) == []  # asking leaves nothing behind
    write_results(digits(), out, plots=False)
    assert (out / "result.json").is_file()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where not even root may write")
def test_a_place_that_cannot_be_written():
    reason = os.strerror(errno.ENOENT)
    expected = f"/proc/results: results cannot be written here ({reason}); name a folder that you may write to"
    assert message(Path("/proc/results")) == expected


def test_a_name_too_long(tmp_path):
    assert "results cannot be written here (File name too long)" in message(tmp_path / ("x" * 300))


@pytest.mark.parametrize("exists", [False, True], ids=["new", "earlier results"])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path, monkeypatch, exists):
    out = tmp_path / "out"
    if exists:
        write_results(digits(), out, plots=False)
    before = tree(tmp_path), contents(tmp_path)

    def full(path, arrays):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder_module, "_write_arrays", full)
    with pytest.raises(AccelError) as caught:
        write_results(estimate(digits()), out, plots=False, arrays=OUTPUTS, overwrite=True)
    assert str(caught.value) == (
        f"{out}: results cannot be written here (No space left on device); name a folder that you may write to"
    )
    assert (tree(tmp_path), contents(tmp_path)) == before


def test_a_stopped_run_leaves_everything_as_it_was(results, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    before = contents(results)
    monkeypatch.setattr(folder_module, "layers_csv", stop)
    with pytest.raises(KeyboardInterrupt):
        write_results(estimate(digits()), results, plots=False, overwrite=True)
    assert contents(results) == before


def test_a_folder_with_a_record_is_complete(results, monkeypatch):
    """Stopped in the midst of the last moves: no record, so no one takes the rest for a result."""
    moved = []

    def replace(self, target):
        if moved:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        moved.append(target.name)
        os.replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(AccelError, match="Input/output error"):
        write_results(estimate(digits()), results, plots=False, overwrite=True)
    assert moved == ["layers.csv"]
    assert "result.json" not in tree(results)


def test_the_record_leaves_first(results, monkeypatch):
    gone = []

    def unlink(self):
        if gone:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        gone.append(self.name)
        os.unlink(self)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(AccelError, match="Input/output error"):
        write_results(estimate(digits()), results, plots=False, overwrite=True)
    assert gone == ["result.json"]


def test_what_a_killed_run_left_does_not_stand_in_the_way(tmp_path):
    left = tmp_path / ".accel-unfinished-0123abcd"
    left.mkdir()
    (left / "layers.csv").touch()
    write_results(digits(), tmp_path, plots=False)
    assert (tmp_path / "result.json").exists()


def test_modes_follow_the_umask(tmp_path):
    umask = os.umask(0o027)
    try:
        write_results(digits(), tmp_path / "r", plots=False)
    finally:
        os.umask(umask)
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "r" / "result.json").stat().st_mode & 0o777 == 0o640


def test_the_archive_holds_no_clock(results):
    with zipfile.ZipFile(results / "outputs.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_record_has_the_totals(results):
    totals = json.loads((results / "result.json").read_text())["totals"]
    assert totals["latency_cycles"] == digits().latency_cycles
    assert dataclasses.asdict(digits())["batch"] == 1
