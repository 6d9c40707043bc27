"""The LSTM of ConvNet+LSTM (paper section 2.1), with the recurrent batch norm of Cooijmans et al. (arXiv 1603.09025).

    gates_t = BN(x_t Wx; gamma_x) + BN(h_{t-1} Wh; gamma_h) + b        (input, forget, output, candidate)
    c_t     = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
    h_t     = sigmoid(o) tanh(BN(c_t; gamma_c) + beta_c)

Every step has its own statistics, since the first steps differ from the rest; gammas are shared and start at 0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from baselines.parts.network import LinearHead, WithHead

GAMMA = 0.1
"""Start of every scale: 1 would saturate the gates (their section 5.1, figure 1)."""
EPS = 1e-5


class StepNorm(nn.Module):
    """Batch norm with statistics per time step and one scale for all steps.

    Steps past the last one that has statistics use those of the last.
    """

    def __init__(self, size: int, *, steps: int, momentum: float):
        super().__init__()
        norms = (nn.BatchNorm1d(size, eps=EPS, momentum=momentum, affine=False) for _ in range(steps))
        self.steps = nn.ModuleList(norms)
        self.gamma = nn.Parameter(torch.full((size,), GAMMA))

    def forward(self, x: Tensor, step: int) -> Tensor:
        """(N, size) float of time step `step` -> (N, size) float."""
        return self.steps[min(step, len(self.steps) - 1)](x) * self.gamma


class BatchNormLSTM(nn.Module):
    """LSTM whose first `steps` time steps have their own batch-norm statistics."""

    def __init__(self, inputs: int, hidden: int, *, steps: int, momentum: float):
        super().__init__()
        self.weight_x = nn.Parameter(torch.empty(inputs, 4 * hidden))
        self.weight_h = nn.Parameter(torch.empty(hidden, 4 * hidden))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.norm_x = StepNorm(4 * hidden, steps=steps, momentum=momentum)
        self.norm_h = StepNorm(4 * hidden, steps=steps, momentum=momentum)
        self.norm_c = StepNorm(hidden, steps=steps, momentum=momentum)
        self.beta_c = nn.Parameter(torch.zeros(hidden))
        self.hidden = hidden
        self._initialise()

    def _initialise(self) -> None:
        for weight in (self.weight_x, self.weight_h):
            for gate in weight.detach().split(self.hidden, dim=1):
                gate.copy_(nn.init.orthogonal_(torch.empty_like(gate)))
        with torch.no_grad():
            self.bias[self.hidden : 2 * self.hidden] = 1  # the forget gate starts open

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, inputs) float -> hidden states (N, T, hidden) float in (-1, 1), for any T."""
        projected = x @ self.weight_x
        h = c = x.new_zeros(x.shape[0], self.hidden)
        states = []
        for step in range(x.shape[1]):
            gates = self.norm_x(projected[:, step], step) + self.norm_h(h @ self.weight_h, step) + self.bias
            i, f, o, g = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * (self.norm_c(c, step) + self.beta_c).tanh()
            states.append(h)
        return torch.stack(states, dim=1)


class RecurrentNetwork(WithHead):
    """A 2D trunk on every frame, averaged over the map, then the LSTM."""

    def __init__(self, stream: str, trunk: nn.Module, *, hidden: int, steps: int, momentum: float, classes, dropout):
        super().__init__(partial(LinearHead, hidden, dropout=dropout), classes)
        self.stream = stream
        self.trunk = trunk
        self.lstm = BatchNormLSTM(trunk.out_channels, hidden, steps=steps, momentum=momentum)

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> hidden states (N, T, hidden) float in (-1, 1)."""
        frames = clips[self.stream].transpose(1, 2)
        maps = self.trunk(frames.flatten(0, 1))
        return self.lstm(maps.mean((-2, -1)).unflatten(0, frames.shape[:2]))
