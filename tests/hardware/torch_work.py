#!/usr/bin/env python3
"""PyTorch work on a card, with its progress: torch_work.py LOG train|gemm|graph, on request: torch_work.py LOG infer|compile, or requests:
torch_work.py LOG serve SECONDS RATE

LOG gets pairs of (int64 CLOCK_MONOTONIC ns, double steps done), one after each step. Runs until SIGTERM. With CuPy there, train and gemm say
when each part of a step was done, too: a step of train is longer than a turn. LOG.clock then gets pairs of (the same, double GHz): the clock
at which the card did those parts of the step that nothing interrupted.
infer, compile: for each line of stdin, how many steps a second it does is printed.
serve: on each line of stdin, requests come at random (RATE a second, always the same) for SECONDS; each is one image through
ResNet-50 (fp16, a graph), copied there and back. Prints "count p50 p95 p99" in milliseconds.
"""
import importlib.util
import itertools
import os
import random
import signal
import struct
import sys
import time
import warnings

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # what it compiles is small, and many start at once
import torch  # noqa: E402

import asked  # noqa: E402


class Stamps:
    """Stamps of one multiprocessor's cycles and of the card's time, put between the parts of a step.

    How much of a step each part is was learnt alone. A part that took longer than it takes alone was interrupted, and says nothing of the
    clock."""
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
    MOST = 16  # in a step

    def __init__(self, path):
        import cupy
        self.kernel = cupy.RawKernel(self.STAMP, "stamp")
        warnings.simplefilter("ignore", DeprecationWarning)  # its successor asks for more of a stream than PyTorch's has
        self.stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
        self.blocks = 4 * torch.cuda.get_device_properties(0).multi_processor_count  # so that one is on each
        self.stamps = torch.zeros(self.MOST, 2, dtype=torch.int64, device="cuda")
        self.kept = [torch.zeros(self.MOST, 2, dtype=torch.int64).pin_memory() for _ in range(2)]
        self.under_way = []  # of each step where its stamps will be, and how many
        self.log = open(f"{path}.clock", "wb", buffering=0)
        self.at, self.least, self.card_behind = 0, None, None
        self.ended = None  # of the last step that has ended the same, and when

    def stamp(self):
        if self.at < self.MOST:
            self.kernel((self.blocks,), (32,), (self.stamps[self.at].data_ptr(),), stream=self.stream)
        self.at += 1

    def launched(self):
        """All of a step; the stamps follow it."""
        self.kept[0].copy_(self.stamps, non_blocking=True)
        self.under_way.append((self.kept[0], self.at))
        self.kept.reverse()
        self.at = 0

    def done(self):
        """The first of those that are under way has ended."""
        self.ended = *self.under_way.pop(0), time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def read(self):
        """The stamps of the step that ended last, as (cycles, CLOCK_MONOTONIC ns)."""
        kept, count, now = self.ended
        stamps = kept[:count].tolist()
        behind = now - stamps[-1][1]
        # The least that was seen, and clocks drift.
        self.card_behind = behind if self.card_behind is None else min(self.card_behind + 1000, behind)
        return [(cycles, at + self.card_behind) for cycles, at in stamps]

    def learn(self):
        took = [t1 - t0 for (_, t0), (_, t1) in itertools.pairwise(self.read())]
        self.least = took if self.least is None else [min(pair) for pair in zip(self.least, took)]

    def tell(self, log, steps):
        """Of the step that brought it to `steps`."""
        stamps = self.read()
        cycles, ns, part, whole, said = 0, 0, 0, sum(self.least), b""
        for ((c0, t0), (c1, t1)), least in zip(itertools.pairwise(stamps), self.least):
            said += struct.pack("<qd", t0, steps - 1 + part / whole)
            part += least
            # Slower by a quarter is still a clock that fell; what was interrupted takes longer.
            if t1 - t0 <= 1.25 * least:
                cycles, ns = cycles + c1 - c0, ns + t1 - t0
        log.write(said + struct.pack("<qd", stamps[-1][1], steps))
        if ns > 0:
            self.log.write(struct.pack("<qd", stamps[-1][1], cycles / ns))


class NoStamps:
    def stamp(self):
        pass

    def launched(self):
        pass

    def done(self):
        self.ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def learn(self):
        pass

    def tell(self, log, steps):
        log.write(struct.pack("<qd", self.ended, steps))


STAMPS = NoStamps()


def stamp_around(module):
    """When it is done, and when its gradients are."""
    def forward_is_done(_module, _inputs, output):
        STAMPS.stamp()
        output.register_hook(gradients_begin)

    def gradients_begin(_gradient):
        STAMPS.stamp()
    module.register_forward_hook(forward_is_done)


def make_train():
    import torchvision
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(128, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (128,), device="cuda")
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        stamp_around(layer)

    def step():
        STAMPS.stamp()
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        STAMPS.stamp()
        loss.backward()
        STAMPS.stamp()
        optimizer.step()
        STAMPS.stamp()
    return step


def make_gemm():
    a, b = (torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def step():
        STAMPS.stamp()
        for _ in range(20):
            a @ b
        STAMPS.stamp()
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
    global STAMPS
    path, kind = sys.argv[1:3]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    torch.manual_seed(1)
    with torch.cuda.stream(torch.cuda.Stream()), open(path, "wb", buffering=0) as log:
        step = {"train": make_train, "gemm": make_gemm, "graph": make_graph, "serve": make_serve, "infer": make_infer,
                "compile": make_compile}[kind]()
        if kind == "serve":
            return serve(step, float(sys.argv[3]), float(sys.argv[4]))
        step()  # what it has to make the first time takes long
        torch.cuda.synchronize()
        if kind in ("infer", "compile"):
            for _ in range(8):
                step()
            return asked.answer(lambda: (step(), torch.cuda.synchronize()))
        if kind in ("train", "gemm") and importlib.util.find_spec("cupy"):
            STAMPS = Stamps(path)
        # One step is under way while the one before it is waited for, as training does: the card does not wait for the host.
        steps, events = -8, [torch.cuda.Event() for _ in range(2)]
        for i in itertools.count():
            step()
            STAMPS.launched()
            events[i % 2].record()
            if i == 0:
                continue
            events[(i - 1) % 2].synchronize()
            STAMPS.done()
            steps += 1
            if ended:
                break
            if -4 < steps <= 0:
                STAMPS.learn()
            if steps == 0:
                print("ready", flush=True)
            if steps > 0:
                STAMPS.tell(log, steps)


main()
