"""The LSTM with recurrent batch norm, against a reference that takes one step, one gate and one unit of text at a time."""

from __future__ import annotations

import pytest
import torch

from baselines.parts.recurrent import EPS, BatchNormLSTM

N, T, INPUTS, HIDDEN = 6, 4, 5, 3


def lstm(steps: int = T) -> BatchNormLSTM:
    torch.manual_seed(0)
    layer = BatchNormLSTM(INPUTS, HIDDEN, steps=steps, momentum=0.3).double()
    with torch.no_grad():  # nothing at a value that hides a mistake
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return layer


def reference(layer: BatchNormLSTM, x: torch.Tensor, statistics) -> torch.Tensor:
    """`statistics(kind, step, values)` -> (mean, variance) of the normalisation."""

    def norm(kind, values, step, gamma, beta=0.0):
        mean, variance = statistics(kind, step, values)
        return gamma * (values - mean) / torch.sqrt(variance + EPS) + beta

    h = c = torch.zeros(N, HIDDEN, dtype=torch.float64)
    outputs = []
    for t in range(x.shape[1]):
        a = norm("x", x[:, t] @ layer.weight_x, t, layer.norm_x.gamma)
        a = a + norm("h", h @ layer.weight_h, t, layer.norm_h.gamma) + layer.bias
        i, f, o = (torch.sigmoid(a[:, k * HIDDEN : (k + 1) * HIDDEN]) for k in range(3))
        c = f * c + i * torch.tanh(a[:, 3 * HIDDEN :])
        h = o * torch.tanh(norm("c", c, t, layer.norm_c.gamma, layer.beta_c))
        outputs.append(h)
    return torch.stack(outputs, 1)


def test_training_equals_the_step_by_step_reference():
    layer, x = lstm(), torch.randn(N, T, INPUTS, dtype=torch.float64)
    expected = reference(layer, x, lambda kind, step, v: (v.mean(0), v.var(0, unbiased=False)))
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("length", [T - 2, T, T + 3])
def test_eval_uses_each_steps_own_statistics_and_the_last_ones_beyond(length):
    layer = lstm()
    for _ in range(5):
        layer(torch.randn(N, T, INPUTS, dtype=torch.float64) * 2 + 1)
    layer.eval()
    norms = {"x": layer.norm_x, "h": layer.norm_h, "c": layer.norm_c}

    def moving(kind, step, values):
        norm = norms[kind].steps[min(step, T - 1)]
        return norm.running_mean, norm.running_var

    x = torch.randn(N, length, INPUTS, dtype=torch.float64)
    torch.testing.assert_close(layer(x), reference(layer, x, moving))
    with pytest.raises(AssertionError):  # one set of statistics for all steps is another network
        torch.testing.assert_close(layer(x), reference(layer, x, lambda kind, step, v: moving(kind, 0, v)))


def test_moving_statistics_are_those_of_their_step():
    layer = lstm()
    x = torch.randn(N, T, INPUTS, dtype=torch.float64)
    layer(x)
    for t in range(T):
        batch = (x[:, t] @ layer.weight_x).mean(0)
        torch.testing.assert_close(layer.norm_x.steps[t].running_mean, 0.3 * batch)


def test_parameter_count_and_start():
    layer = BatchNormLSTM(1024, 512, steps=25, momentum=0.1)
    assert sum(p.numel() for p in layer.parameters()) == 3_152_896
    assert all((norm.gamma == 0.1).all() for norm in (layer.norm_x, layer.norm_h, layer.norm_c))
    assert (layer.bias[512:1024] == 1).all() and (layer.bias[:512] == 0).all()
    gate = layer.weight_h[:, :512]
    torch.testing.assert_close(gate.T @ gate, torch.eye(512), atol=1e-5, rtol=0)
