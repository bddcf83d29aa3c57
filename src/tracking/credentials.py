"""Whether W&B could log in here, found without asking anybody and without a network."""

import contextlib
import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

import wandb

from src.errors import InputError


def choose_mode(mode: str) -> str:
    """Turn `tracker.mode` into "online", "offline" or "disabled".

    `auto` follows WANDB_MODE where the user has set it, else is online with credentials and
    offline without.

    Raises:
        InputError: online is asked for and there are no credentials; W&B would stop the sweep
            with a question on the terminal.
    """
    asked, by = mode, f"tracker.mode={mode}"
    if mode == "auto":
        if not (asked := os.environ.get("WANDB_MODE", "").lower()):
            return "online" if has_credentials() else "offline"
        by = f"WANDB_MODE={asked}"
    if asked == "online" and not has_credentials():
        raise InputError(
            f"{by} needs W&B credentials, and none were found: run `wandb login`, set "
            "WANDB_API_KEY, or choose tracker.mode=offline."
        )
    # WANDB_MODE has more values than ours: "dryrun" is an old word for offline.
    return asked if asked in ("online", "disabled") else "offline"


def has_credentials() -> bool:
    """Whether an API key or identity token is set, or a netrc file has one for the server."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    settings = wandb.setup().settings
    if settings.api_key:
        return True
    hosts = {urlsplit(str(settings.base_url)).netloc}
    if str(settings.base_url) == wandb.Settings().base_url:
        hosts.add("api.wandb.ai")  # W&B's public server has had this name, and keys are kept by it
    named = os.environ.get("NETRC")
    for file in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if hosts & netrc.netrc(file).hosts.keys():
                return True
    return False
