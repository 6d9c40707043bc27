"""The network of a finished job as a folder for others: weights, configuration, and a model card.

=====================  ==============================================================================================
``model.safetensors``  every tensor of the network by name, trunk and head
``config.json``        the job's spec, classes and numbers; the SHA-256 of the weights
``trained_on.json``    the ids of the videos that it was trained on, so that it is not scored on them elsewhere
``README.md``          the model card: the number with its interval, the data's fingerprint, the command that repeats it
=====================  ==============================================================================================

`open_exported` restores the network from the folder alone: its logits are those of the job, bit for bit. As `--source` of a
selection, the folder is imported like published weights (`harness.models.pretrained`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from harness import __version__
from harness.core.atomic import atomic_folder, file_sha256
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.job_specs import ProbeSpec, from_plain, to_plain
from harness.data.splits import TRAINED_ON
from harness.jobs.common import build_head
from harness.jobs.context import JobContext, configure
from harness.jobs.frozen import job_of
from harness.jobs.model_card import model_card
from harness.jobs.options import JobOptions
from harness.jobs.restore import Scorer, open_job, scorer_of
from harness.models import build, transfer
from harness.models.catalog import CONFIG, FORMAT, MODEL, read_config
from harness.records.record import Record

CARD = "README.md"
FIELDS = ("job_id", "title", "upstream", "environment", "fingerprint", "metrics", "counts", "finished_at")
"""Fields of the record that the configuration repeats, in addition to its spec and classes."""


def export(record: Record, options: JobOptions, folder: Path) -> None:
    """Write the folder, completely or not at all. Raises HarnessError if it exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HarnessError(f"{folder} is not empty; name a new folder with --to")
    scorer = open_job(record, options)
    if folder.is_dir():
        folder.rmdir()
    with atomic_folder(folder) as temporary:
        transfer.write_weights(temporary / MODEL, scorer.network, job=record.job_id)
        config = {name: getattr(record, name) for name in FIELDS} | {
            "format": FORMAT,
            "harness": __version__,
            "spec": to_plain(record.spec),
            "classes": list(record.classes),
            "weights_sha256": file_sha256(temporary / MODEL),
        }
        (temporary / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")
        (temporary / CARD).write_text(model_card(record), encoding="utf-8")
        shutil.copyfile(record.path(TRAINED_ON), temporary / TRAINED_ON)


def open_exported(folder: Path, options: JobOptions) -> Scorer:
    """The network of an exported folder. Raises HarnessError, naming the file, if the folder is not whole."""
    record, sha256 = _record(folder)
    if file_sha256(folder / MODEL) != sha256:
        raise HarnessError(f"{folder / MODEL} is not the file that was exported (sha256 differs); export the job again")
    context: JobContext[Any] = JobContext(job=job_of(record), options=options, callback=Callback())
    configure(context)
    network: nn.Module = build.build(context.baseline, context.build_spec(len(record.classes)))
    if isinstance(record.spec, ProbeSpec):
        network.head = build_head(network, record.spec, len(record.classes))
    network.load_state_dict(transfer.read_weights(folder / MODEL), strict=True)
    return scorer_of(network, context, record)


def _record(folder: Path) -> tuple[Record, str]:
    """(the record without its files, the SHA-256 of the weights)."""
    config = read_config(folder)
    try:
        fields = {name: config[name] for name in FIELDS}
        record = Record(**fields, spec=from_plain(config["spec"]), cell=None, cost={}, classes=tuple(config["classes"]))
        return record, str(config["weights_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"{folder / CONFIG} is damaged ({type(error).__name__}: {error}); export the job again"
        ) from error
