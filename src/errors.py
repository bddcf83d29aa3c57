"""The ways a cell ends without numbers."""


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, where, and what to do."""


class TooLong(InputError):
    """A text has more tokens than the model takes.

    Attributes:
        reason: Why an item with this text has no score, in a few words.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Args: the reason, and the message of an InputError."""
        super().__init__(message)
        self.reason = reason


class Unsupported(Exception):
    """This combination cannot exist (a masked-only scorer on a causal model, say).

    The cell or benchmark that raises it is recorded as `unsupported` with the message as the
    reason; the rest of the sweep goes on and the sweep's exit code stays 0.
    """


class CellFailed(Exception):
    """A cell ended without results; its `status.json` says why, with the traceback."""
