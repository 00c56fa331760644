import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.parts.activation import ReLU6, leaky_relu, relu6


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (relu6, F.relu6),
        (ReLU6(), F.relu6),
        (lambda x: leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.1)),
    ],
    ids=["function", "module", "leaky"],
)
def test_it_overwrites_its_input_unless_exported(
    activation: "torch.nn.Module", expected: "torch.nn.Module", monkeypatch: pytest.MonkeyPatch
) -> None:
    values = torch.linspace(-3, 9, 13)
    kept: Tensor = values.clone()
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(activation(kept), expected(values))
    torch.testing.assert_close(kept, values)
    monkeypatch.undo()
    assert activation(kept) is not None
    torch.testing.assert_close(kept, expected(values))
