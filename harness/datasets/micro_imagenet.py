"""micro-imagenet: still pictures of the micro world's objects, actors and places, in ImageNet's layout.

18 classes of 60 training and 20 validation pictures of 80 px. At micro scale `--init imagenet` trains a 2D network on
these.
"""

from harness.datasets.formats import read_images
from harness.datasets.synthetic import micro_card
from harness.datasets.synthetic.sets import IMAGE_SIZES, image_classes

DATASET = micro_card(
    "micro-imagenet",
    title="micro-ImageNet",
    kind="images",
    num_classes=len(image_classes()),
    splits=(1,),
    subsets=("val",),
    counts={(1, subset): size * len(image_classes()) for subset, size in IMAGE_SIZES.items()},
    read=read_images,
    layout="train/<class>/*.jpg\nval/<class>/*.png",
)
