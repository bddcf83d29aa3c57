from types import SimpleNamespace

import pytest
import torch
from torch import nn

from src.compression.registry import compress


class OneLayer(nn.Module):
    """The smallest model that the transforms take: embeddings and one linear layer."""

    def __init__(self, weight, bias):
        super().__init__()
        self.embedding = nn.Embedding(4, weight.shape[1])
        self.linear = nn.Linear(weight.shape[1], weight.shape[0])
        self.linear.weight.data, self.linear.bias.data = weight.clone(), bias.clone()
        self.requires_grad_(False)

    def forward(self, input_ids):
        return self.linear(self.embedding(input_ids))

    def get_input_embeddings(self):
        return self.embedding

    def get_output_embeddings(self):
        return None


@pytest.fixture
def layer():
    """Quantize one layer: settings -> the new layer, the old weight and bias."""

    def quantized(settings, width=64):
        torch.manual_seed(0)
        weight, bias = torch.randn(48, width), torch.randn(48)
        model = OneLayer(weight, bias)
        source = SimpleNamespace(id="one layer")
        subject = SimpleNamespace(model=model, device=torch.device("cpu"), source=source)
        compress(subject, settings)
        return model.linear, weight, bias

    return quantized
