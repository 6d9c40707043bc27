"""The paper's sizes (section 2.5), completed from the released models' README where the paper is silent.

Cost of one stream on Kinetics at 64x224: 110k steps of 384 clips, about 26 EFLOP; see docs/how-to/reproducing.md.
"""

from harness.core.contract import FlowMethod, Scale, Schedule

_SOURCE = Schedule(
    steps=110_000,
    batch=384,
    bn_batch=6,  # 64 GPUs of 6 clips, batch norm within each
    base_lr=0.1,
    weight_decay=1e-7,
    policy="plateau",
    held_out=0.1,
    eval_every=2_000,
    checkpoint_every=1_000,
)
# 16 GPUs of 6 clips; "up to 5k steps", the same plateau rule. The learning rate is ours: the paper gives none.
_TARGET = Schedule(
    steps=5_000,
    batch=96,
    bn_batch=6,
    base_lr=0.01,
    weight_decay=1e-7,
    policy="plateau",
    held_out=0.1,
    eval_every=250,
    checkpoint_every=250,
)

SCALE = Scale(
    name="paper",
    version=2,
    width=1.0,
    fps=25.0,
    short_side_px=256,
    bn_momentum=0.001,  # TF's decay 0.999
    dropout=0.5,
    flow=FlowMethod(name="tvl1", bound_px=20.0, short_side_px=256),
    stages={
        "source": _SOURCE,
        "original": _TARGET,
        "full-ft": _TARGET,
        "fixed": Schedule(
            steps=5_000, batch=96, base_lr=0.1, policy="plateau", held_out=0.1, eval_every=250, checkpoint_every=1_000
        ),
    },
)
