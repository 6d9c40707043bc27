"""The same experiment, small enough for two CPU cores: a quarter of the channels, 16 frames of 48 px, about 9,000
training clips per stream.

The released batch-norm decay of 0.999 would leave the moving statistics of so short a training near their start (chance
in eval mode at a training loss of 0.1), so the momentum is 0.1 here. Schedules are fixed, so nothing is held out.
"""

from harness.core.contract import FlowMethod, Scale, Schedule

SCALE = Scale(
    name="micro",
    version=2,
    width=0.25,
    fps=25.0,
    short_side_px=54,
    bn_momentum=0.1,
    dropout=0.2,
    cpu_threads=1,
    precision="float32",  # networks this small gain nothing from bfloat16
    # With a bound of 20 px, motions of 0.2-2 px would use only a few of the 256 levels.
    flow=FlowMethod(
        name="tvl1",
        bound_px=3.0,
        short_side_px=54,
        params={"scale_step": 0.5, "nscales": 3, "warps": 1, "inner": 10, "outer": 1},
    ),
    stages={
        "images": Schedule(steps=250, batch=32, base_lr=3e-3, optimizer="adamw", weight_decay=0.01, policy="one-cycle"),
        "source": Schedule(steps=560, batch=16, base_lr=3e-3, optimizer="adamw", weight_decay=0.01, policy="one-cycle"),
        "original": Schedule(
            steps=220, batch=16, base_lr=3e-3, optimizer="adamw", weight_decay=0.01, policy="one-cycle"
        ),
        "full-ft": Schedule(
            steps=220, batch=16, base_lr=1e-3, optimizer="adamw", weight_decay=0.01, policy="one-cycle"
        ),
        "fixed": Schedule(steps=400, batch=64, base_lr=3e-2, optimizer="adamw", weight_decay=0.01, policy="one-cycle"),
    },
)
