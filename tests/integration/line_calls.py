"""Programs that are told by lines of stdin what to do: a word for a method, then its parameters; each answers with one line."""
import sys


def answer_lines(calls):
    for line in sys.stdin:
        command, *words = line.split()
        print(getattr(calls, command)(*words), flush=True)
