"""The same two pairs with other looks and fewer videos, as a target."""

from harness.core.contract import Dataset
from harness.datasets.formats import read_hmdb
from tests import toyworld

DATASET = Dataset(
    name="toy-hmdb51",
    title="toy-HMDB-51",
    kind="video",
    num_classes=len(toyworld.ACTIONS),
    splits=(1, 2, 3),
    subsets=("test",),
    counts={(split, subset): n * 4 for split in (1, 2, 3) for subset, n in (("train", 6), ("test", 10))},
    read=read_hmdb,
    layout="as the micro sets",
    download="none needed: rendered on first use",
    licence="the same as this program",
    render=toyworld.render_target,
    source="toy-kinetics",
    image_source="toy-imagenet",
)
