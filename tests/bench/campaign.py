"""What jobs go through while everything is killed: ``python -m tests.bench.campaign``.

1,500 jobs at some 8 a second meet 50 kills of workers, pool processes, APIs, brokers and, on
PostgreSQL, databases, all by ``kill -9``. Printed for each deployment: jobs lost, doubled, wrong
(other bytes than the library makes) and stuck, which should all be 0, and the latency from the
acknowledgement to the success. The settings are the defaults of a deployment.
"""

import argparse

from tests.integration.campaign import Campaign
from tests.integration.stack import Stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--jobs", type=int, default=1500)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--per-second", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for kind in asked.deployments:
        stack = Stack(kind, settings={"RAIW_MIN_FREE_BYTES": "0"})
        try:
            campaign = Campaign(
                stack,
                jobs=asked.jobs,
                kills=asked.kills,
                per_second=asked.per_second,
                seed=asked.seed,
            )
            print(f"{kind}: {campaign.run()}", flush=True)
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
