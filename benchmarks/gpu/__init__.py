"""`python -m benchmarks gpu SUITE`: whether a GPU computes the right numbers, and how fast it is. 25 minutes in all.

| suite | what it does |
|---|---|
| `correct` | compares inputs, logits, gradients, short trainings and optical flow with those of the CPU |
| `speed` | peak rates, training and scoring of every network, the parts of I3D, kernels of a step, optical flow |
| `feed` | clips per second from files to the device, and the share of the time that training waits for them |

Every section is independent: one that fails is named, and the next one starts. `--small --device cpu` runs all of it on a CPU.
"""
