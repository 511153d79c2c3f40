"""accel.networks: names to files, files that are made, and what is said when neither works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from accel.errors import AccelError
from accel.gallery import workloads_dir
from accel.networks import companions, make, network_path, networks, with_batch

FOLDER = workloads_dir() / "digits_resnet8"
NAMES = "digits-resnet8, resnet18, resnet34, resnet50, resnet50-v1, resnet20, mobilenetv2"
MADE = {"float.onnx", "int8.onnx", "int8_qdq.onnx", "uint8.onnx", "uint8_qdq.onnx", "input.npy"}


def message(error: pytest.ExceptionInfo[AccelError]) -> str:
    return str(error.value)


def test_a_name_stands_for_its_default_file() -> None:
    assert network_path("digits-resnet8") == FOLDER / "int8.onnx"
    assert network_path("digits-resnet8/uint8_qdq.onnx") == FOLDER / "uint8_qdq.onnx"


def test_a_file_is_itself_even_under_a_gallery_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits-resnet8").write_bytes(b"")
    assert network_path("digits-resnet8") == Path("digits-resnet8")
    assert companions("digits-resnet8") is None


def test_every_shipped_file_exists() -> None:
    shipped = [(info, file) for info in networks() if info.folder is not None for file in info.files]
    assert shipped
    assert all(info.file(file.name).is_file() for info, file in shipped)


def test_only_shipped_networks_have_companions() -> None:
    assert companions("digits-resnet8/uint8.onnx") is not None
    assert companions("resnet18") is None
    assert companions("my.onnx") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "resnet50",
            "the files of 'resnet50' are not shipped; make them with 'accel networks make resnet50 --out resnet50', "
            "then name resnet50/int8.onnx",
        ),
        (
            "resnet50/int8.onnx",
            "the files of 'resnet50' are not shipped; make them with 'accel networks make resnet50 --out resnet50', "
            "then name resnet50/int8.onnx",
        ),
        (
            "digits-resnet",
            "'digits-resnet' is neither a file nor a network of the gallery; did you mean 'digits-resnet8'?",
        ),
        ("vgg", f"'vgg' is neither a file nor a network of the gallery; the gallery has {NAMES}"),
        (
            "digits-resnet8/int4.onnx",
            "'digits-resnet8' has no file 'int4.onnx'; there are digits-resnet8/float.onnx, digits-resnet8/int8.onnx, "
            "digits-resnet8/int8_qdq.onnx, digits-resnet8/uint8.onnx, digits-resnet8/uint8_qdq.onnx",
        ),
        ("gone.onnx", "gone.onnx: there is no such file; name an .onnx file, or a network of the gallery"),
        ("nets/gone", "nets/gone: there is no such file; name an .onnx file, or a network of the gallery"),
        ("nets", "nets: this is a folder, not a network; name the .onnx file in it"),
    ],
)
def test_a_wrong_name_says_what_to_do(given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    with pytest.raises(AccelError) as error:
        network_path(given)
    assert message(error) == said


def test_make_writes_all_files_and_reports_progress(tmp_path: Path) -> None:
    lines: list[str] = []
    paths = make("resnet20", tmp_path / "new" / "r20", progress=lines.append)
    assert {path.name for path in paths} == MADE == {path.name for path in (tmp_path / "new" / "r20").iterdir()}
    assert [line for line in lines if line.startswith("stage")] == [
        "stage 1 of 3: 3 blocks of 16 channels",
        "stage 2 of 3: 3 blocks of 32 channels",
        "stage 3 of 3: 3 blocks of 64 channels",
    ]
    assert sum(line.startswith("quantizing") for line in lines) == 4


def test_make_copies_what_ships(tmp_path: Path) -> None:
    make("digits-resnet8", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == MADE
    assert (tmp_path / "uint8.onnx").read_bytes() == (FOLDER / "uint8.onnx").read_bytes()
    assert np.load(tmp_path / "input.npy").shape == (1, 1, 16, 16)


def test_make_replaces_files_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "int8.onnx").write_text("mine")
    (tmp_path / "notes.txt").write_text("kept")
    with pytest.raises(AccelError) as error:
        make("digits-resnet8", tmp_path)
    assert message(error) == (
        f"{tmp_path / 'int8.onnx'}: the file exists already; choose another folder, or replace it: --overwrite"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"int8.onnx", "notes.txt"}
    make("digits-resnet8", tmp_path, overwrite=True)
    assert (tmp_path / "int8.onnx").read_bytes() == (FOLDER / "int8.onnx").read_bytes()
    assert (tmp_path / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_make_leaves_nothing(existing: bool, tmp_path: Path) -> None:
    out = tmp_path / "r20"
    if existing:
        out.mkdir()

    def interrupt(line: str) -> None:
        if line.startswith("quantizing uint8"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("resnet20", out, progress=interrupt)
    assert out.exists() == existing
    assert not existing or not list(out.iterdir())


def test_make_refuses_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(AccelError) as error:
        make("resnet19", tmp_path / "out")
    assert message(error).startswith("'resnet19' is neither a file nor a network of the gallery; did you mean 'resnet1")
    assert not (tmp_path / "out").exists()


def test_make_refuses_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    with pytest.raises(AccelError) as error:
        make("digits-resnet8", out)
    assert message(error) == (
        f"{out}: the network cannot be written: Not a directory; name a folder that can be written"
    )


@pytest.mark.parametrize("file", ["float.onnx", "int8.onnx", "int8_qdq.onnx", "uint8.onnx", "uint8_qdq.onnx"])
def test_with_batch_gives_each_image_its_own_result(file: str) -> None:
    extras = companions("digits-resnet8")
    assert extras is not None
    model = onnx.load(FOLDER / file)
    single = onnxruntime.InferenceSession(model.SerializeToString())
    four = onnxruntime.InferenceSession(with_batch(model, 4).SerializeToString())
    want = np.concatenate([single.run(None, {"input": image[None]})[0] for image in extras.images[:4]])
    got = four.run(None, {"input": extras.images[:4]})[0]
    assert np.allclose(got, want, atol=1e-5) if file == "float.onnx" else np.array_equal(got, want)
    assert model == onnx.load(FOLDER / file)


def test_with_batch_rewrites_a_constant_reshape() -> None:
    shapes = {"flat": [2, 12], "kept": [-1, 12]}
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "flat"], ["y"]), helper.make_node("Reshape", ["y", "kept"], ["z"])],
        "reshapes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [2, 12])],
        [numpy_helper.from_array(np.array(shape), name) for name, shape in shapes.items()],
    )
    changed = with_batch(helper.make_model(graph), 5).graph
    assert {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in changed.initializer} == {
        "flat": [5, 12],
        "kept": [-1, 12],
    }


@pytest.mark.parametrize(
    ("dims", "images", "said"),
    [
        ([1, 4], 0, "net: the batch size is 0; legal are 1 and more"),
        (["n", 4], 2, "net: the inputs have no common fixed batch size; export it with one"),
        ([], 2, "net: the inputs have no common fixed batch size; export it with one"),
    ],
)
def test_with_batch_refuses(dims: list[int | str], images: int, said: str) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)
    model = helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "net", [value], [out]))
    with pytest.raises(AccelError) as error:
        with_batch(model, images)
    assert message(error) == said
