"""Steps on request: for a program that is compared with another in short turns, between which it does nothing."""
import sys
import time

TURN_SECONDS = 0.02


def answer(step):
    """Prints "ready", then for each line of stdin how many steps a second it does for a while; `step` waits until its work has ended."""
    print("ready", flush=True)
    for _ in sys.stdin:
        step()  # what others left in the caches is not to be compared
        steps, begin = 0, time.monotonic()
        while (took := time.monotonic() - begin) < TURN_SECONDS:
            step()
            steps += 1
        print(steps / took, flush=True)
