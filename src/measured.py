"""Which settings decide a cell's numbers, and which only how the numbers come about."""

NEUTRAL = (
    *("system", "data", "debug.dry", "debug.plan"),
    *("resume", "sweep", "tracker", "hydra", "statistics", "paper"),
    *("compression.python", "compression.timeout"),
)
"""Settings that change no number, with all that is below them."""
TELLING = ("system.device", "data.root")
"""Settings below a neutral one that may change numbers all the same."""


COMPRESSION = ("compression", "model.order")
"""Settings, with all below them, that say how a model is compressed."""


def compresses(key: str) -> bool:
    """Whether a setting, by its dotted key, says how a model is compressed."""
    return any(_within(key, setting) for setting in COMPRESSION)


def changes_numbers(key: str) -> bool:
    """Whether a setting may change a cell's numbers.

    A sweep is named after such settings, and cells that agree in them can be compared. What a
    cell's fingerprint holds besides (data checksums, versions, code) is not in its settings.

    Args:
        key: Dotted, as in "system.threads"; of a group ("system") whether anything in it does.
    """
    below_telling = any(_within(key, telling) or _within(telling, key) for telling in TELLING)
    return below_telling or not any(_within(key, neutral) for neutral in NEUTRAL)


def _within(key: str, group: str) -> bool:
    return key == group or key.startswith(f"{group}.")
