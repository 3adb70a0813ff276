#!/usr/bin/env python3
"""PyTorch work on a card, with its progress: torch_work.py LOG train|gemm|graph, or requests: torch_work.py LOG serve SECONDS RATE

LOG gets pairs of (int64 CLOCK_MONOTONIC ns, double steps done), one after each step. Runs until SIGTERM.
serve: on each line of stdin, requests come at random (RATE a second, always the same) for SECONDS; each is one image through
ResNet-50 (fp16, a graph), copied there and back. Prints "count p50 p95 p99" in milliseconds.
"""
import random
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


def make_serve():
    import torchvision
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last).eval().half()
    image = torch.randn(1, 3, 224, 224).half().pin_memory()
    there = torch.zeros(1, 3, 224, 224, device="cuda", dtype=torch.half)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad():
        for _ in range(5):
            model(there.to(memory_format=torch.channels_last))
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            answer = model(there.to(memory_format=torch.channels_last))
    back = torch.empty(answer.shape, dtype=answer.dtype).pin_memory()
    stream = torch.cuda.current_stream()

    def step():
        there.copy_(image, non_blocking=True)
        graph.replay()
        back.copy_(answer, non_blocking=True)
        stream.synchronize()
    return step


def serve(step, seconds, rate):
    for _ in range(200):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        random.seed(1)
        took, begin = [], time.monotonic()
        due = begin
        while due < begin + seconds:
            due += random.expovariate(rate)
            time.sleep(max(0.0, due - time.monotonic()))
            step()
            took.append((time.monotonic() - due) * 1e3)
        took.sort()
        print(len(took), *(f"{took[int(len(took) * part)]:.3f}" for part in (0.5, 0.95, 0.99)), flush=True)


def main():
    path, kind = sys.argv[1:3]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    torch.manual_seed(1)
    with torch.cuda.stream(torch.cuda.Stream()), open(path, "wb", buffering=0) as log:
        step = {"train": make_train, "gemm": make_gemm, "graph": make_graph, "serve": make_serve}[kind]()
        if kind == "serve":
            return serve(step, float(sys.argv[3]), float(sys.argv[4]))
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
