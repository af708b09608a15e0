"""What jobs go through while everything is killed: ``python -m tests.bench.campaign``.

1,500 jobs at some 8 a second meet 50 kills of workers, pool processes, APIs, brokers, on PostgreSQL
databases, and with ``--objects`` S3 servers, all by ``kill -9``. Printed for each deployment: jobs
lost, doubled, wrong (other bytes than the library makes) and stuck, which should all be 0 and make
the exit status 1 if they are not, and the latency from the acknowledgement to the success. The
settings are the defaults of a deployment.

The long one, of an hour or so on two quiet cores:

    python -m tests.bench.campaign --jobs 10000 --clients 50 --kills 300 --objects
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.campaign import Campaign
from tests.integration.s3 import S3
from tests.integration.stack import Stack


@contextmanager
def object_store(*, wanted: bool) -> Iterator[S3 | None]:
    """Run an S3 server until the end of the block."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="raiw-s3-", dir="/tmp") as folder:
        server = S3(Path(folder))
        yield server
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployments", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--jobs", type=int, default=1500)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--per-second", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--objects", action="store_true", help="keep masks and files in a bucket")
    asked = parser.parse_args()
    clean = True
    for kind in asked.deployments:
        with object_store(wanted=asked.objects) as objects:
            settings = {"RAIW_MIN_FREE_BYTES": "0"}
            if objects is not None:
                settings |= {"RAIW_OBJECTS": objects.url(), "RAIW_MASKS_IN_DATABASE_BYTES": "0"}
                settings |= objects.environment()
            stack = Stack(kind, settings=settings)
            try:
                account = Campaign(
                    stack,
                    jobs=asked.jobs,
                    kills=asked.kills,
                    per_second=asked.per_second,
                    seed=asked.seed,
                    clients=asked.clients,
                    objects=objects,
                ).run()
            finally:
                stack.stop()
        print(f"{kind}: {account}", flush=True)
        clean = clean and account.clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
