"""Reading the files of four GLUE tasks (Wang et al. 2019): labelled sentences or pairs of them.

The original distributions and GLUE's own files are told apart by what is in them: a table with the
columns that GLUE names has a header, any other has the columns of the original in their order.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from src.benchmarks.items import Labelled
from src.errors import InputError

HIGHEST = 5.0
"""STS-B scores similarity from 0 to 5."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a task is, and how its files look.

    Attributes:
        name: As in settings.
        train: Its training file in the data layout.
        dev: The file that it is scored on.
        columns: Of a file without a header, in their order; further ones are left out.
        texts: Names that the column of the first text goes by, then those of the second.
        label: Names of the label's column.
        labels: Texts of the classes, by class number; empty where the label is a number.
        metrics: What it is scored by, the headline first.
    """

    name: str
    train: str
    dev: str
    columns: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    label: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """Numbers that a task's head gives: one a class, or the one that is predicted."""
        return len(self.labels) or 1


_ONE = (("sentence",),)
_PAIR = (("sentence1", "premise"), ("sentence2", "hypothesis"))
_STS = ("genre", "filename", "year", "old_index", "score", "sentence1", "sentence2")
TASKS = {
    task.name: task
    for task in (
        Task(
            *("sst2", "sst2/train.tsv", "sst2/dev.tsv", ("sentence", "label"), _ONE),
            *(("label",), ("0", "1"), ("accuracy",)),
        ),
        Task(
            *("cola", "cola/raw/in_domain_train.tsv", "cola/raw/in_domain_dev.tsv"),
            *(("source", "label", "mark", "sentence"), _ONE),
            *(("label",), ("0", "1"), ("matthews", "accuracy")),
        ),
        Task(
            *("rte", "rte_and_nli/rte/train.csv", "rte_and_nli/rte/dev.csv"),
            *(("premise", "hypothesis", "label"), _PAIR),
            *(("label",), ("entailment", "not_entailment"), ("accuracy",)),
        ),
        Task(
            *("stsb", "stsb/sts-train.csv", "stsb/sts-dev.csv", _STS, _PAIR),
            *(("score",), (), ("pearson", "spearman")),
        ),
    )
}
"""Name -> task."""


def read_examples(task: Task, path: Path) -> list[Labelled]:
    """Read a task's file in its order; an example's id is the number of its line.

    Raises:
        InputError: Not a UTF-8 table, a line has too few columns, an empty text or a label that is
            none of the task's; names file, line and column.
    """
    lines = list(_lines(path))
    if not lines:
        raise InputError(f"{path} is empty.")
    header = {name: at for at, name in enumerate(lines[0][1])}
    wanted = (*task.texts, task.label)
    named = all(any(name in header for name in names) for names in wanted)
    places = header if named else {name: at for at, name in enumerate(task.columns)}
    at = [next(places[name] for name in names if name in places) for names in wanted]
    examples = [_example(task, path, number, row, at) for number, row in lines[named:]]
    if not examples:
        raise InputError(f"{path} has a header and no rows.")
    return examples


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give number and columns of each line; tabs separate where there are any, quotes are text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}.") from error
    # Not splitlines, which also cuts at characters that stand within a sentence.
    rows = text.replace("\r\n", "\n").split("\n")
    if "\t" in rows[0]:
        yield from ((n, row.split("\t")) for n, row in enumerate(rows, 1) if row.strip())
        return
    reader = csv.reader((f"{row}\n" for row in rows), strict=True)
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {start}: the row is broken: {error}.") from error


def _example(task: Task, path: Path, number: int, row: list[str], at: list[int]) -> Labelled:
    where = f"{path}, line {number}"
    if len(row) <= max(at):
        raise InputError(f"{where}: {len(row)} columns, expected at least {max(at) + 1}.")
    *texts, label = (row[place].strip() for place in at)
    if not all(texts):
        raise InputError(f"{where}, column {at[texts.index('')] + 1}: the text is empty.")
    second = texts[1] if len(texts) > 1 else None
    return Labelled(
        str(number), "overall", str(number), task.name, texts[0], second, _label(task, label, where)
    )


def _label(task: Task, text: str, where: str) -> float:
    if task.labels:
        if text not in task.labels:
            raise InputError(
                f"{where}: the label of {task.name} is {' or '.join(task.labels)}, not {text!r}."
            )
        return float(task.labels.index(text))
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= HIGHEST:
        raise InputError(f"{where}: the score is a number from 0 to {HIGHEST:g}, not {text!r}.")
    return value
