"""The card of the models that ship with the project: `python -m src.report.model_card SWEEP`.

Everything in it that is a number is read from the models' folders, from their training records and
from the cells of a sweep that measured them.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from src.errors import InputError
from src.piped import piped
from src.report.cells import Headline, collect
from src.statistics.compare import compare_directories
from src.statistics.config import StatisticsConfig
from src.statistics.family import adjust
from src.statistics.verdict import verdict
from src.tracking.atomic import replacing
from src.tracking.read import Cell

SOURCE = Path(__file__).parents[1]
SHIPPED = SOURCE / "models" / "tiny"
TEXT = Path(__file__).with_suffix(".md")
"""What the card says in words, with places for the tables."""
STUDENT, TWIN = "tiny_distilbert", "tiny_distilbert_twin"
SCORES = {
    "StereoSet LM": Headline("stereoset", "overall", "lm_score"),
    "StereoSet SS": Headline("stereoset", "overall", "ss"),
    "CrowS-Pairs": Headline("crows_pairs", "overall", "stereotype_score"),
}
POINTS = 8
"""Points of a loss curve in the card."""


@dataclass(frozen=True)
class Shipped:
    """One shipped checkpoint.

    Attributes:
        name: Its folder below src/models/tiny.
        config: Its config.json.
        training: The training.json of its run.
        parameters: Numbers in its weights file.
        bytes: Size of its folder.
    """

    name: str
    config: Mapping[str, Any]
    training: Mapping[str, Any]
    parameters: int
    bytes: int

    @property
    def run(self) -> str:
        """The run that it is a checkpoint of."""
        return self.name.partition("/")[0]

    @property
    def step(self) -> int:
        """The optimiser step that it was written after."""
        return int(self.name.partition("/step")[2] or self.training["steps"])


def shipped(root: Path = SHIPPED) -> list[Shipped]:
    """Read all shipped checkpoints; of a run in the order of its steps.

    Raises:
        InputError: A folder lacks its training record.
    """
    found = []
    for config in sorted(root.rglob("config.json")):
        folder = config.parent
        records = [path / "training.json" for path in (folder, folder.parent)]
        record = next((path for path in records if path.is_file()), None)
        if record is None:
            raise InputError(f"{folder} has no training.json, nor has the folder above it.")
        with safe_open(folder / "model.safetensors", framework="numpy") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
        found.append(
            Shipped(
                name=folder.relative_to(root).as_posix(),
                config=_read(config),
                training=_read(record),
                parameters=sum(_product(shape) for shape in shapes),
                bytes=sum(path.stat().st_size for path in folder.iterdir()),
            )
        )
    return sorted(found, key=lambda one: (one.run, one.step))


def card(sweep: Path, root: Path = SHIPPED) -> str:
    """Write the card.

    Args:
        sweep: Folder of the cells that measured the models, the student's twin among them.
        root: Folder of the models.

    Raises:
        InputError: A model was not measured, or a record is missing.
    """
    models = shipped(root)
    cells = {_measured(cell): cell for cell in collect(sweep) if cell.state == "done"}
    missing = [one.name for one in models if one.name not in cells]
    if missing or TWIN not in cells:
        raise InputError(
            f"{sweep} has no finished cell of {', '.join([*missing, TWIN])}; measure them with "
            "benchmark=[stereoset,crows_pairs] benchmark.stereoset.split=dev."
        )
    last = list({one.run: one for one in models}.values())
    size = sum(one.bytes for one in models) / 1e6
    return TEXT.read_text(encoding="utf-8").format(
        size=f"{size:.0f} MB",
        text=_text(last[0].training),
        shapes=_table(SHAPE_HEAD, map(_shape, last)),
        curves=_table(("run", "held-out loss (step: nats a predicted token)"), map(_curve, last)),
        scores=_table(
            ("model", *SCORES), ((one.name, *_scores(cells[one.name])) for one in models)
        ),
        twin=_table(("model", *SCORES), [(TWIN, *_scores(cells[TWIN]))]),
        losses=_losses(next(one for one in last if one.run == "distilbert")),
        comparison=_comparison(cells[TWIN], cells["distilbert"]),
    )


SHAPE_HEAD = ("run", "class", "layers", "hidden", "parameters", "steps", "tokens read", "epochs")


def _shape(one: Shipped) -> tuple[str, ...]:
    tokens, data = one.training["tokens"], one.training["run"]["data"]
    return (
        one.run,
        one.config["architectures"][0],
        str(one.config["num_hidden_layers"]),
        str(one.config["hidden_size"]),
        f"{one.parameters / 1e6:.2f} M",
        str(one.training["steps"]),
        f"{tokens / 1e6:.0f} M",
        f"{tokens / data['seen']['tokens']:.1f}",
    )


def _curve(one: Shipped) -> tuple[str, str]:
    points = [point for point in one.training["curve"] if point.get("held_out_loss") is not None]
    kept = {round(i * (len(points) - 1) / (POINTS - 1)) for i in range(POINTS)}
    shown = (f"{points[i]['step']}: {points[i]['held_out_loss']:.2f}" for i in sorted(kept))
    return one.run, ", ".join(shown)


def _scores(cell: Cell) -> Iterator[str]:
    for headline in SCORES.values():
        record = headline.record(cell)
        if record is None or record["value"] is None:
            raise InputError(f"{cell.directory} has no {headline.benchmark} {headline.metric}.")
        yield f"{record['value']:.1f} ({record['ci_low']:.1f} to {record['ci_high']:.1f})"


def _losses(student: Shipped) -> str:
    alone, steps = student.training["twin"], student.training["steps"]
    return (
        f"{student.training['held_out_loss']:.3f} nats a predicted token with the teacher, "
        f"{alone['held_out_loss']:.3f} without, after {steps} steps each"
    )


def _comparison(twin: Cell, student: Cell) -> str:
    settings = StatisticsConfig()
    rows = compare_directories(twin, student, settings)
    adjust(rows)
    lines = []
    for headline in SCORES.values():
        for row in rows:
            where = (row["benchmark"], row["category"], row["metric"])
            if where == (headline.benchmark, headline.category, headline.metric):
                lines.append(
                    f"- {' '.join(where)}: {row['value_a']:.1f} without a teacher, "
                    f"{row['value_b']:.1f} with it, a difference of {row['difference']:.1f} "
                    f"({row['ci_low']:.1f} to {row['ci_high']:.1f}): "
                    f"{verdict(row, settings.alpha).sentence}"
                )
    return "\n".join(lines)


def _text(training: Mapping[str, Any]) -> str:
    data = training["run"]["data"]
    files = ", ".join(
        f"`{one['file']}` (sha256 {one['sha256'][:16]}…)"
        for one in data["corpus"]["sources"].values()
    )
    seen, out = data["documents"]["seen"], data["documents"]["held out"]
    return f"{files}: {seen} documents to train on, {out} held out by hash"


def _measured(cell: Cell) -> str:
    """Name a cell as its model's folder is named, or by the model's name."""
    model = cell.config.get("model", {})
    found = str(model.get("id", "")).partition("/models/tiny/")[2]
    return found or str(model.get("name", ""))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _product(shape: Sequence[int]) -> int:
    count = 1
    for one in shape:
        count *= one
    return count


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m src.report.model_card", description=__doc__)
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="folder of measured cells")
    parser.add_argument("--out", type=Path, default=SHIPPED / "README.md", metavar="FILE")
    options = parser.parse_args(argv)
    try:
        text = card(options.sweep)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with replacing(options.out) as file:
        file.write(text.encode())
    print(options.out)
    return 0


if __name__ == "__main__":
    piped(main)
