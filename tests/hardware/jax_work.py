#!/usr/bin/env python3
"""JAX work on a card, with its progress: jax_work.py LOG

A step is 20 products of 2048 x 2048 under jit, then a wait. LOG as of torch_work.py. Runs until SIGTERM.
"""
import os
import signal
import struct
import sys
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402


def main():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))

    @jax.jit
    def step(a, b):
        for _ in range(20):
            a = (a @ b) * 0.01
        return a
    a = b = jnp.ones((2048, 2048), jnp.bfloat16)
    for _ in range(6):
        a = step(a, b)
    a.block_until_ready()
    with open(sys.argv[1], "wb", buffering=0) as log:
        print("ready", flush=True)
        steps = 0
        while not ended:
            a = step(a, b)
            a.block_until_ready()
            steps += 1
            log.write(struct.pack("<qd", time.clock_gettime_ns(time.CLOCK_MONOTONIC), steps))


main()
