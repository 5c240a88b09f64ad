"""Starts a Ray cluster of several nodes on this machine, and kills parts of it when asked.

The only argument is JSON: `nodes`, cores of each but the first, which has none, and perhaps `client`, a port for Ray's
client. The address comes on standard output; a line of JSON on standard input then asks: `kill` (a node, by its number)
or `word` (kill -9 one process of a worker whose title has it). A line with what was killed answers.
"""

import json
import os
import random
import signal
import sys

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180"}

import psutil
from ray.cluster_utils import Cluster


def workers(word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = process.cmdline()[0]
        except (psutil.Error, IndexError):
            continue
        if title.startswith("ray::") and word in title:
            found.append(process)
    return found


def main() -> None:
    asked = json.loads(sys.argv[1])
    head = {"num_cpus": 0, "include_dashboard": False}
    if asked.get("client"):
        head["ray_client_server_port"] = asked["client"]
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=cores) for cores in asked["nodes"]]
    print(cluster.address, flush=True)  # noqa: T201
    dice = random.Random(7)
    for line in sys.stdin:
        wanted = json.loads(line)
        killed = None
        if "kill" in wanted:
            cluster.remove_node(nodes[wanted["kill"]], allow_graceful=False)
            killed = "node"
        elif there := workers(wanted["word"]):
            one = dice.choice(there)
            killed = one.cmdline()[0]
            one.send_signal(signal.SIGKILL)
        print(json.dumps(killed), flush=True)  # noqa: T201
    cluster.shutdown()


if __name__ == "__main__":
    main()
