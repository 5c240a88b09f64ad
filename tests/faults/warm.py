"""Runs commands of sibboleth in processes forked from one that has imported everything, and kills them when asked.

A line of JSON on standard input asks: `arguments, folder, environment, said (a file), after (seconds or null), most
(bytes that a file may have, or null), table, state (which table, or state of a training, it dies half-way through
writing, or null)`. A line on standard output answers: `status` as of os.waitpid, `seconds` it ran. Arguments of this
program are modules that are imported as well.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

MODULES = (
    "altair jiwer sklearn.metrics torch vl_convert sibboleth.cli sibboleth.recipes.run sibboleth.recipes.report "
    "sibboleth.models.probes sibboleth.models.features sibboleth.report.page sibboleth.recipes.cache "
    "sibboleth.recipes.encode sibboleth.models.pruning accelerate sibboleth.recipes.pretrain sibboleth.report.curve "
    "sibboleth.models.pretraining.preparation sibboleth.models.pretraining.hubert"
)


def die_in_table(number: int) -> None:
    """Have this process die when half of the so-manieth Parquet file is written."""
    import polars as pl

    write, left = pl.DataFrame.write_parquet, iter(range(number - 1, -1, -1))

    def half(self: pl.DataFrame, file: Path, **more: object) -> None:
        write(self, file, **more)  # type: ignore[arg-type]
        if next(left) == 0:
            os.truncate(file, file.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    pl.DataFrame.write_parquet = half  # type: ignore[method-assign,assignment]


def die_in_state(number: int) -> None:
    """Have this process die when half of the so-manieth state of a training is written."""
    import torch

    write, left = torch.save, iter(range(number - 1, -1, -1))

    def half(state: object, file: Path) -> None:
        write(state, file)
        if next(left) == 0:
            os.truncate(file, file.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half


def work(asked: dict[str, object]) -> None:
    """Do what a new process with this command line would do; never returns."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    from sibboleth.cli import main

    os.chdir(str(asked["folder"]))
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    said = os.open(str(asked["said"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (0, 1, 2):
        os.dup2(said, stream)
    if asked["most"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["most"], asked["most"]))  # type: ignore[arg-type]
    if asked["table"] is not None:
        die_in_table(int(asked["table"]))  # type: ignore[call-overload]
    if asked["state"] is not None:
        die_in_state(int(asked["state"]))  # type: ignore[call-overload]
    code = 0
    try:
        main(asked["arguments"])  # type: ignore[arg-type]
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException as error:  # what Python would print
        import traceback

        traceback.print_exception(error)
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Answer until standard input ends."""
    for module in (*MODULES.split(), *sys.argv[1:]):
        importlib.import_module(module)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        asked = json.loads(line)
        begun = time.monotonic()
        process = os.fork()
        if process == 0:
            work(asked)
        ended = None
        if asked["after"] is not None:
            ended = signal.sigtimedwait({signal.SIGCHLD}, asked["after"])
        if asked["after"] is not None and ended is None:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        signal.sigtimedwait({signal.SIGCHLD}, 0)
        print(json.dumps({"status": status, "seconds": time.monotonic() - begun}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
