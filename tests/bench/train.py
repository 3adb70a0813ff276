"""A neural network that learns for ever on tinygrad's card, and tells once in a while how many steps it has done.

train.py mlp|convnet      prints "steps N"; it knows nothing of flexai
"""
import sys
import time

from tinygrad import Tensor, TinyJit, nn
from tinygrad.helpers import Context

EVERY_S = 0.5


class Mlp:
    batch = 64

    def __init__(self):
        self.layers = [nn.Linear(784, 256), nn.Linear(256, 10)]

    def __call__(self, pictures):
        return self.layers[1](self.layers[0](pictures.reshape(-1, 784)).relu())


class Convnet:
    batch = 32

    def __init__(self):
        self.layers = [nn.Conv2d(1, 16, 5), nn.Conv2d(16, 32, 3), nn.Linear(32 * 5 * 5, 10)]

    def __call__(self, pictures):
        first = self.layers[0](pictures).relu().max_pool2d()
        return self.layers[2](self.layers[1](first).relu().max_pool2d().flatten(1))


def main():
    net = {"mlp": Mlp, "convnet": Convnet}[sys.argv[1]]()
    Tensor.manual_seed(0)
    labels = Tensor.randint(1024, high=10).realize()
    pictures = (Tensor.randn(1024, 1, 28, 28) * 0.3 + labels.reshape(-1, 1, 1, 1) * 0.1).realize()
    optimizer = nn.optim.Adam(nn.state.get_parameters(net))

    @TinyJit
    def step():
        with Context(TRAINING=1):
            optimizer.zero_grad()
            chosen = Tensor.randint(net.batch, high=1024)
            loss = net(pictures[chosen]).sparse_categorical_crossentropy(labels[chosen]).backward()
            return loss.realize(*optimizer.schedule_step())

    steps, shown = 0, time.monotonic()
    while True:
        step().item()
        steps += 1
        if (now := time.monotonic()) - shown >= EVERY_S:
            print(f"steps {steps}", flush=True)
            shown = now


if __name__ == "__main__":
    main()
