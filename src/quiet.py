"""Keeping other libraries from talking into what a program prints."""

import logging


def quiet_libraries() -> None:
    """Keep libraries from telling which kernels they lack, and at each call what a receipt says.

    transformers imports torchao with its models wherever it is installed, whether it is used or
    not, so this comes before transformers does.
    """
    for name in ("torchao", "bitsandbytes", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
