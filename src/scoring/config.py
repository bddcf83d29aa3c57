"""Settings of the `scorer` group."""

from dataclasses import dataclass, field

from src.choices import help_


@dataclass
class ScorerConfig:
    """The rule that turns items into requests, and answers into scores."""

    name: str = field(default="???", metadata=help_("name of the rule"))
    start_token: str = field(
        default="auto",
        metadata=help_(
            "what a causal model is given before the first token: auto (its beginning-of-sequence "
            "token), none (the first token's probability is left out), or a token"
        ),
    )
