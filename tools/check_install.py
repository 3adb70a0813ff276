#!/usr/bin/env python3
"""An installed tree works from wherever it stands: installs the release build into build/install and uses it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

PLACE = tree.ROOT / "build/install"
EXPECTED = ["bin/flexai", "bin/flexaid", "share/man/man1/flexai.1", "share/man/man1/flexai-run.1", "lib/sysusers.d/flexai.conf",
            "share/bash-completion/completions/flexai", "lib/systemd/system/flexaid.service", "lib/systemd/system/flexaid.socket"]


def main():
    shutil.rmtree(PLACE, ignore_errors=True)
    subprocess.run(["cmake", "--install", "build/release", "--prefix", str(PLACE)], cwd=tree.ROOT, check=True)
    missing = [name for name in EXPECTED if not (PLACE / name).is_file()]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    env = {**os.environ, "FLEXAI_SOCKET": f"@flexai-install-{os.getpid()}"}
    flexai = str(PLACE / "bin/flexai")
    daemon = subprocess.Popen([str(PLACE / "bin/flexaid"), "--socket", env["FLEXAI_SOCKET"]], stdin=subprocess.DEVNULL)
    try:
        # `run` waits for the daemon; a probe of the cards may take seconds at the first start.
        ran = subprocess.run([flexai, "run", "--memory", "64Mi", "--", "sh", "-c", "echo $FLEXAI_SLICE; env"], env=env,
                             capture_output=True, text=True, timeout=60)
        library = [word for line in ran.stdout.splitlines() if "_LAYERS=" in line for word in line.split("=", 1)[1].split(":")]
        if ran.returncode != 0 or not library or not library[0].startswith(str(PLACE)):
            sys.exit(f"the installed flexai run does not work: status {ran.returncode}, {library}, {ran.stderr}")
        cards = json.loads(subprocess.run([flexai, "cards", "-o", "json"], env=env, capture_output=True, text=True, check=True).stdout)
        print(f"installed tree: fine, {len(EXPECTED)} files, cards: {json.dumps(cards)[:200]}")
    finally:
        daemon.terminate()
        daemon.wait()
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main()
