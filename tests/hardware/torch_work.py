#!/usr/bin/env python3
"""PyTorch work on a card, with its progress: torch_work.py LOG train|gemm|graph

LOG gets pairs of (int64 CLOCK_MONOTONIC ns, double steps done), one after each step. Runs until SIGTERM.
"""
import signal
import struct
import sys
import time

import torch


def make_train():
    import torchvision
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(128, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (128,), device="cuda")

    def step():
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    return step


def make_gemm():
    a, b = (torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def step():
        for _ in range(20):
            a @ b
    return step


def make_graph():
    import torchvision
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last).eval()
    images = torch.randn(8, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad():
        for _ in range(3):
            model(images)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            model(images)

    def step():
        for _ in range(4):
            graph.replay()
    return step


def main():
    path, kind = sys.argv[1:3]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    torch.manual_seed(1)
    with torch.cuda.stream(torch.cuda.Stream()), open(path, "wb", buffering=0) as log:
        step = {"train": make_train, "gemm": make_gemm, "graph": make_graph}[kind]()
        for _ in range(6):
            step()
        torch.cuda.synchronize()
        print("ready", flush=True)
        steps = 0
        while not ended:
            step()
            torch.cuda.synchronize()
            steps += 1
            log.write(struct.pack("<qd", time.clock_gettime_ns(time.CLOCK_MONOTONIC), steps))


main()
