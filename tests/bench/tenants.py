"""What the benches share: where the programs are, and a daemon of their own that nobody else meets."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

DEADLINE_S = 60


def parser_with_programs(parser):
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"), metavar="FOLDER",
                        help="where flexai and flexaid are (default: %(default)s)")
    return parser


def programs(options):
    found = options.bin.resolve()
    for name in ("flexai", "flexaid"):
        if not (found / name).exists():
            sys.exit(f"{found / name} is missing: build it, or name its folder with --bin")
    return found


@contextlib.contextmanager
def daemon(programs_folder):
    """The environment in which programs meet a daemon of ours, on an abstract socket."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FLEXAI_") and not key.endswith("_LAYERS")}
    env = {**clean, "FLEXAI_SOCKET": f"@flexai-bench-{os.getpid()}"}
    child = subprocess.Popen([programs_folder / "flexaid", "--socket", env["FLEXAI_SOCKET"]], env=env)
    try:
        end = time.monotonic() + DEADLINE_S
        while True:
            asked = subprocess.run([programs_folder / "flexai", "status", "-o", "json"], env=env, capture_output=True, text=True)
            if asked.returncode == 0:
                break
            if child.poll() is not None or time.monotonic() > end:
                sys.exit(f"the daemon does not answer: {asked.stderr.strip()}")
            time.sleep(0.01)  # poll
        if not json.loads(asked.stdout)["cards"]:
            sys.exit("the daemon finds no card: there is nothing to measure")
        yield env
    finally:
        child.terminate()
        child.wait(DEADLINE_S)
