"""A process that has imported what the command needs, and forks for every command.

``python -m tests.integration.zygote SOCKET`` waits for those who type ``raiw``; :data:`CLIENT` is
their program. A page has dozens of commands, and an import of torch takes seconds.
"""

import json
import os
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Thread

CLIENT = """\
#!{python} -ISE
import json, os, socket, sys
if sys.argv[1:2] == ["serve"]:
    os.execv("{python}", ["{python}", "-m", "raiw", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as line:
    line.connect("{address}")
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(line, [len(asked).to_bytes(8, "little")], [0, 1, 2])
    line.sendall(asked)
    sys.exit(int(line.makefile().read() or 1))
"""


def serve(address: str) -> None:
    """Answer until standard input ends."""
    import torch  # noqa: F401 -- before the fork

    import raiw.cli.app
    import raiw.jobs.run_train  # noqa: F401

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        Thread(target=_end_with_parent, daemon=True).start()
        while True:
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(line)
            line.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def _answer(line: socket.socket) -> None:
    """Run a command in a child, and tell its exit status."""
    size, files, _, _ = socket.recv_fds(line, 8, 3)
    asked = b""
    while len(asked) < int.from_bytes(size, "little"):
        asked += line.recv(1 << 20)
    child = os.fork()
    if child == 0:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        line.close()
        _run(*json.loads(asked))
    _, status = os.waitpid(child, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status) & 255).encode())
    os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    from raiw.cli.app import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["raiw", *arguments]
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode) for n, mode in enumerate("rww"))
    sys.path[:0] = [part for part in environment.get("PYTHONPATH", "").split(":") if part]
    status: object = 1
    try:
        main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 -- it is told, as Python does
        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(int(status or 0) if isinstance(status, int | None) else 1)


if __name__ == "__main__":
    serve(str(Path(sys.argv[1])))
