"""Three kinds of images."""

from harness.core.contract import Dataset
from harness.datasets.formats import read_images
from tests import toyworld

DATASET = Dataset(
    name="toy-imagenet",
    title="toy-ImageNet",
    kind="images",
    num_classes=len(toyworld.STILLS),
    splits=(1,),
    subsets=("val",),
    counts={(1, "train"): 48, (1, "val"): 24},
    read=read_images,
    layout="as the micro sets",
    download="none needed: rendered on first use",
    licence="the same as this program",
    render=toyworld.render_stills,
)
