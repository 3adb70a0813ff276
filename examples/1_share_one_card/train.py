#!/usr/bin/env python3
"""A small neural network that learns on whatever card tinygrad finds. It knows nothing of flexai.

train.py [--seconds 10] [--samples 4096] [--hidden 256] [--batch 64]

Learns to tell ten kinds of noisy 28 x 28 pictures apart. Prints the loss and the steps per second, once a second, and
ends with status 1 when the card refuses memory.
"""
import argparse
import sys
import time

from tinygrad import Tensor, TinyJit, nn
from tinygrad.helpers import Context


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10, help="how long to learn, after warming up")
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()

    Tensor.manual_seed(0)
    labels = Tensor.randint(options.samples, high=10).realize()
    pictures = (Tensor.randn(options.samples, 784) * 0.3 + labels.reshape(-1, 1) * 0.1).realize()
    first, second = nn.Linear(784, options.hidden), nn.Linear(options.hidden, 10)
    optimizer = nn.optim.Adam([first.weight, first.bias, second.weight, second.bias])

    @TinyJit
    def step():
        with Context(TRAINING=1):
            optimizer.zero_grad()
            batch = Tensor.randint(options.batch, high=options.samples)
            guess = second(first(pictures[batch]).relu())
            loss = guess.sparse_categorical_crossentropy(labels[batch]).backward()
            return loss.realize(*optimizer.schedule_step())

    losses = [step().item() for _ in range(4)]  # the first steps compile
    print(f"first loss {losses[0]:.2f}", flush=True)
    begin = shown = time.monotonic()
    steps = last = 0
    while (now := time.monotonic()) - begin < options.seconds:
        loss = step().item()
        steps += 1
        if now - shown >= 1:
            print(f"loss {loss:.2f}, {(steps - last) / (now - shown):.0f} steps/s", flush=True)
            shown, last = now, steps
    print(f"last loss {loss:.2f}, {steps / (time.monotonic() - begin):.1f} steps/s on average", flush=True)


if __name__ == "__main__":
    try:
        main()
    except MemoryError as error:
        sys.exit(f"train.py: out of memory on the card: {error}")
