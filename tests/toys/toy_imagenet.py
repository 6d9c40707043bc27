"""Three kinds of stills."""

from harness.core.contract import Dataset
from harness.datasets.formats import read_stills
from tests import toyworld

DATASET = Dataset(
    name="toy-imagenet",
    title="toy-ImageNet",
    kind="stills",
    num_classes=len(toyworld.STILLS),
    splits=(1,),
    subsets=("val",),
    counts={(1, "train"): 48, (1, "val"): 24},
    read=read_stills,
    layout="as the micro sets",
    where="rendered on the spot; nothing to download",
    licence="as this program",
    render=toyworld.render_stills,
)
