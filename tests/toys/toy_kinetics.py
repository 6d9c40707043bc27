"""Two reversal pairs of the micro world, as a source."""

from harness.core.contract import Dataset
from harness.datasets.formats import read_kinetics
from tests import toyworld

DATASET = Dataset(
    name="toy-kinetics",
    title="toy-Kinetics",
    kind="video",
    num_classes=len(toyworld.ACTIONS),
    splits=(1,),
    subsets=("test",),
    counts={(1, subset): size * len(toyworld.ACTIONS) for subset, size in toyworld.SOURCE_SIZES.items()},
    read=read_kinetics,
    layout="as the micro sets",
    download="none needed: rendered on first use",
    licence="the same as this program",
    render=toyworld.render_source,
    image_source="toy-imagenet",
)
