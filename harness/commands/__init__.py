"""Verbs and flags. No logic: what the verbs do is in `harness.app`."""

from __future__ import annotations

import errno
import sys
from typing import Any

import click

from harness import __version__
from harness.cli.bench import bench
from harness.cli.check import check
from harness.cli.data import data
from harness.cli.flags import Verbs
from harness.cli.jobs import ls, plan, run
from harness.cli.machine import doctor
from harness.cli.mirror import mirror
from harness.cli.predict import predict
from harness.cli.report import report
from harness.cli.results import claims, compare, table
from harness.cli.tune import tune
from harness.cli.weights import weights
from harness.core.errors import HarnessError

INTERRUPTED = 130
ALONE: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises from 8.2 on for a group without a verb; before, it printed the overview itself."""


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="harness")
def harness() -> None:
    """Re-run, check and extend the experiments of "Quo Vadis, Action Recognition?".

    Nothing at hand? `harness run --protocol full-ft --dataset micro-hmdb51` needs no data and no GPU.
    """


for verb in (run, tune, plan, ls, table, claims, report, compare, check, predict, data, weights, mirror, doctor, bench):
    harness.add_command(verb)


def main() -> None:
    """The console script: exit 0, 1 where a verb that checks finds something, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        code = harness.main(standalone_mode=False)  # click hands back the code of a verb that left with one
        if isinstance(code, int) and code:
            sys.exit(code)
    except ALONE as error:
        click.echo(error.format_message())
    except click.ClickException as error:
        _fail(error.format_message())
    except HarnessError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        print(
            "\nStopped. Finished jobs are kept, and the one under way goes on from its last checkpoint: "
            "run the same command again.",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        _fail(
            f"{error.strerror}: {error.filename or 'while writing'}; nothing half-written was kept. Free space or choose "
            "other folders with --data and --results, then run the same command again"
        )


def _fail(message: str) -> None:
    print(f"harness: {message}", file=sys.stderr)
    sys.exit(2)
