"""Keeping other libraries from talking into what a program prints."""

import logging


def quiet_libraries() -> None:
    """Keep torchao from telling of each kernel that it lacks; accelerate imports it if it can."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
