"""StereoSet's gold files ({"data": {"intrasentence": [...], "intersentence": [...]}}) as items."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.benchmarks.items import Candidate, Discourse, FillIn
from src.benchmarks.stereoset_quality import blank_flags
from src.data.readers import read_json, require_unique
from src.errors import InputError

TASKS = ("intrasentence", "intersentence")
DOMAINS = ("gender", "profession", "race", "religion")
LABELS = ("stereotype", "anti-stereotype", "unrelated")
BLANK = "BLANK"
_JSON_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read_clusters(path: Path, task: str) -> list[FillIn | Discourse]:
    """Read one task's clusters in the file's order.

    Returns:
        `FillIn` items for intrasentence, `Discourse` items for intersentence. An item's id is the
        cluster id, its category the domain, its cluster the target term.

    Raises:
        InputError: The file is not a StereoSet gold file, or a cluster in it is malformed: a
            field is missing, not exactly one candidate a label, a candidate without a word in
            the blank's place, a repeated id.
    """
    data = _field(read_json(path), "data", dict, str(path))
    raw = _field(data, task, list, f"{path}, data")
    clusters = [_cluster(entry, task, path, n) for n, entry in enumerate(raw, 1)]
    require_unique(path, [cluster.id for cluster in clusters])
    candidates = [(c.id, f"{task} cluster {cl.id}") for cl in clusters for c in cl.candidates]
    require_unique(path, [i for i, _ in candidates], [place for _, place in candidates])
    return clusters


def read_tasks(path: Path) -> list[str]:
    """Tell which tasks a gold file has.

    Raises:
        InputError: The file is not a StereoSet gold file.
    """
    data = _field(read_json(path), "data", dict, str(path))
    return [task for task in TASKS if task in data]


def template_word(context: str, sentence: str) -> str | None:
    """Find the word a candidate puts in the blank, without ASCII punctuation.

    The official rule: it is the token of `sentence` at the place of the last token of `context`
    that contains BLANK, both split at single spaces. A word of more than one token is cut to its
    first, and "sometimes.BLANK" gives the joined token; that is kept.

    Returns:
        The word, or None where `context` has no BLANK, `sentence` is too short, or nothing is
        left without punctuation.
    """
    places = [i for i, token in enumerate(context.split(" ")) if BLANK in token]
    words = sentence.split(" ")
    if not places or places[-1] >= len(words):
        return None
    return words[places[-1]].translate(_NO_PUNCTUATION) or None


def _cluster(entry: Any, task: str, path: Path, number: int) -> FillIn | Discourse:
    """Check one cluster and make it an item."""
    identifier = _field(entry, "id", str, f"{path}: {task} cluster number {number}")
    where = f"{path}: {task} cluster {identifier}"
    domain = _field(entry, "bias_type", str, where)
    if domain not in DOMAINS:
        raise InputError(f"{where}: bias_type {domain!r} is not one of {', '.join(DOMAINS)}.")
    context = _field(entry, "context", str, where)
    fill_in = task == "intrasentence"
    candidates = tuple(
        _candidate(sentence, context if fill_in else None, where)
        for sentence in _field(entry, "sentences", list, where)
    )
    if sorted(candidate.label for candidate in candidates) != sorted(LABELS):
        labels = ", ".join(candidate.label for candidate in candidates) or "none"
        raise InputError(
            f"{where}: it needs one candidate each of {', '.join(LABELS)}; has {labels}."
        )
    make = FillIn if fill_in else Discourse
    target = _field(entry, "target", str, where)
    texts = [candidate.sentence for candidate in candidates]
    flags = blank_flags(context, texts, BLANK) if fill_in else {}
    return make(identifier, domain, target, context=context, candidates=candidates, flags=flags)


def _candidate(entry: Any, context: str | None, where: str) -> Candidate:
    """Check one candidate; `context` is given where the candidate fills its blank."""
    identifier = _field(entry, "id", str, f"{where}, a candidate")
    sentence = _field(entry, "sentence", str, f"{where}, candidate {identifier}")
    word = "" if context is None else template_word(context, sentence)
    if word is None:
        raise InputError(
            f"{where}, candidate {identifier}: {sentence!r} has no word in the place of {BLANK} "
            f"in {context!r}."
        )
    label = _field(entry, "gold_label", str, f"{where}, candidate {identifier}")
    return Candidate(identifier, label, sentence, word)


def _field(entry: Any, key: str, kind: type[Any], where: str) -> Any:
    """Take a field of a JSON object and check its type (and that a string is not empty)."""
    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: expected an object, found {type(entry).__name__}.")
    value = entry.get(key)
    if not isinstance(value, kind) or (kind is str and not value.strip()):
        found = "missing" if key not in entry else f"{value!r:.60}"
        raise InputError(f"{where}: field {key!r} must be {_JSON_NAMES[kind]}; it is {found}.")
    return value
