"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from accel.errors import AccelError

E = TypeVar("E", bound=StrEnum)


def one_of(kind: type[E], *names: str, help: str) -> Any:
    """An option that takes one of a few words, and says in a sentence which."""
    words = [one.value for one in kind]

    def parse(word: str) -> E:
        if word not in words:
            raise AccelError(f"{names[0]} is '{word}'", hint=f"legal are {', '.join(words)}")
        return kind(word)

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return typer.Option(*names, parser=parse, metavar="|".join(words), autocompletion=complete, help=help)


def machine_names(incomplete: str) -> list[str]:
    """For shell completion."""
    from accel.gallery import machines

    return [path.stem for path in machines() if path.stem.startswith(incomplete)]


def network_names(incomplete: str) -> list[str]:
    """For shell completion."""
    from accel.networks import networks

    return [info.name for info in networks() if info.name.startswith(incomplete)]


Net = Annotated[
    str,
    typer.Argument(metavar="NET", help="An ONNX file, or a network of the gallery.", autocompletion=network_names),
]


Arch = Annotated[
    str,
    typer.Option(
        "--arch", "-a", metavar="A", help="A machine's YAML file, or one of the gallery.", autocompletion=machine_names
    ),
]


ArchOrNone = Annotated[
    str | None,
    typer.Option(
        "--arch",
        "-a",
        metavar="A",
        help="A machine's YAML file, or one of the gallery: gives cycles and energy.",
        autocompletion=machine_names,
    ),
]


MachineArgument = Annotated[
    str,
    typer.Argument(metavar="A", help="A machine's YAML file, or one of the gallery.", autocompletion=machine_names),
]


Float = Annotated[
    str, typer.Argument(metavar="FLOAT", help="A float ONNX file, or a network of the gallery that ships.")
]


Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


Csv = Annotated[bool, typer.Option("--csv", help="Print one CSV row for each layer and nothing else.")]


Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write records, tables, a page and plots into this folder."),
]


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run has written.")]


Processes = Annotated[
    int | None,
    typer.Option("--processes", "-j", min=1, help="How many work at a time, where it pays; all cores unless given."),
]


Input = Annotated[
    Path | None,
    typer.Option("--input", "-i", help="The network's input as .npy; several images along the first axis."),
]


Calibrate = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        "-c",
        metavar="FILE",
        help="Images as .npy or .npz, float32, several along the first axis; a gallery network has its own.",
    ),
]


Labels = Annotated[Path | None, typer.Option("--labels", help="Class of each image as .npy; gives accuracy.")]


Images = Annotated[int | None, typer.Option("--images", min=1, help="Take only the first N images.")]


MappingFile = Annotated[
    Path | None,
    typer.Option(
        "--mapping", "-m", metavar="YAML", help="Map layers as this file says, which 'accel map --out' writes."
    ),
]
