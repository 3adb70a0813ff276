"""Steps on request: for a program that works in short turns, between which it does nothing."""
import statistics
import sys
import time

TURN_SECONDS = 0.004  # the speed of a core changes within tens of milliseconds


def answer(step):
    """Prints "ready", then for each line of stdin how many steps a second it does for a while, by the median step; `step` waits until its work has
    ended."""
    print("ready", flush=True)
    for _ in sys.stdin:
        step()  # what others left in the caches is not to be compared
        took, begin = [], time.perf_counter()
        while not took or sum(took) < TURN_SECONDS:
            step()
            end = time.perf_counter()
            took.append(end - begin)
            begin = end
        print(1 / statistics.median(took), flush=True)
