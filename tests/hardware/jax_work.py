#!/usr/bin/env python3
"""JAX work on a card: jax_work.py

A step is 20 products of 2048 x 2048 under jit, then a wait. For each line of stdin it prints how many steps a second it does.
"""
import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import asked  # noqa: E402


@jax.jit
def products(a, b):
    for _ in range(20):
        a = (a @ b) * 0.01
    return a


def main():
    a = b = jnp.ones((2048, 2048), jnp.bfloat16)

    def step():
        nonlocal a
        a = products(a, b)
        a.block_until_ready()
    for _ in range(6):
        step()
    asked.answer(step)


main()
