#!/usr/bin/env python3
"""PyTorch work on a card, with its progress: torch_work.py LOG train|gemm|graph|infer|compile, or requests: torch_work.py LOG serve SECONDS RATE

LOG gets pairs of (int64 CLOCK_MONOTONIC ns, double steps done), one after each step. Runs until SIGTERM. With CuPy there, LOG.clock gets
pairs of (the same, double GHz): the clock at which the card did those parts of the step that nothing interrupted.
serve: on each line of stdin, requests come at random (RATE a second, always the same) for SECONDS; each is one image through
ResNet-50 (fp16, a graph), copied there and back. Prints "count p50 p95 p99" in milliseconds.
"""
import importlib.util
import random
import signal
import struct
import sys
import time
import warnings

import torch


class Clock:
    """Stamps of one multiprocessor's cycles and of the card's time, put between the parts of a step.

    A part that took longer than it takes alone was interrupted, and says nothing."""
    STAMP = r"""
    extern "C" __global__ void stamp(long long* out) {
      unsigned sm;
      long long time;
      asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
      if (sm != 0 || threadIdx.x != 0) return;
      asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
      out[0] = clock64();
      out[1] = time;
    }"""

    def __init__(self, path, parts):
        import cupy
        self.kernel = cupy.RawKernel(self.STAMP, "stamp")
        warnings.simplefilter("ignore", DeprecationWarning)  # its successor asks for more of a stream than PyTorch's has
        self.stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
        self.blocks = 4 * torch.cuda.get_device_properties(0).multi_processor_count  # so that one is on each
        self.stamps = torch.zeros(parts + 1, 2, dtype=torch.int64, device="cuda")
        self.log = open(f"{path}.clock", "wb", buffering=0)
        self.at, self.least = 0, [0] * parts

    def stamp(self):
        if self.at < len(self.stamps):
            self.kernel((self.blocks,), (32,), (self.stamps[self.at].data_ptr(),), stream=self.stream)
        self.at += 1

    def end(self, learn):
        stamps, self.at = self.stamps.tolist(), 0
        cycles, ns = 0, 0
        for i, ((c0, t0), (c1, t1)) in enumerate(zip(stamps, stamps[1:])):
            if learn and (self.least[i] == 0 or t1 - t0 < self.least[i]):
                self.least[i] = t1 - t0
            # Slower by a quarter is still a clock that fell; what was interrupted takes longer.
            if t1 - t0 <= 1.25 * self.least[i]:
                cycles, ns = cycles + c1 - c0, ns + t1 - t0
        if ns > 0 and not learn:
            self.log.write(struct.pack("<qd", time.clock_gettime_ns(time.CLOCK_MONOTONIC), cycles / ns))


class NoClock:
    def stamp(self):
        pass

    def end(self, learn):
        pass


CLOCK = NoClock()


def make_train():
    import torchvision
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(128, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (128,), device="cuda")

    def step():
        CLOCK.stamp()
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        CLOCK.stamp()
        loss.backward()
        CLOCK.stamp()
        optimizer.step()
        CLOCK.stamp()
    return step


def make_gemm():
    a, b = (torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def step():
        CLOCK.stamp()
        for _ in range(20):
            a @ b
        CLOCK.stamp()
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


def make_infer():
    import torchvision
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last).eval().half()
    image = torch.randn(1, 3, 224, 224, device="cuda").half().to(memory_format=torch.channels_last)

    @torch.no_grad()
    def step():
        model(image)
    return step


def make_compile():
    layers = [layer for _ in range(4) for layer in (torch.nn.Linear(2048, 2048), torch.nn.GELU(), torch.nn.LayerNorm(2048))]
    model = torch.compile(torch.nn.Sequential(*layers).cuda().bfloat16().eval())
    rows = torch.randn(4096, 2048, device="cuda", dtype=torch.bfloat16)

    @torch.no_grad()
    def step():
        for _ in range(4):
            model(rows)
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
    global CLOCK
    path, kind = sys.argv[1:3]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    torch.manual_seed(1)
    with torch.cuda.stream(torch.cuda.Stream()), open(path, "wb", buffering=0) as log:
        step = {"train": make_train, "gemm": make_gemm, "graph": make_graph, "serve": make_serve, "infer": make_infer,
                "compile": make_compile}[kind]()
        if kind == "serve":
            return serve(step, float(sys.argv[3]), float(sys.argv[4]))
        if kind in ("train", "gemm") and importlib.util.find_spec("cupy"):
            CLOCK = Clock(path, {"train": 3, "gemm": 1}[kind])
        for i in range(8):
            step()
            torch.cuda.synchronize()
            CLOCK.end(learn=i >= 4)
        print("ready", flush=True)
        steps = 0
        while not ended:
            step()
            torch.cuda.synchronize()
            CLOCK.end(learn=False)
            steps += 1
            log.write(struct.pack("<qd", time.clock_gettime_ns(time.CLOCK_MONOTONIC), steps))


main()
