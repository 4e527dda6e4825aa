"""An explanation of one picture beside one forward pass over it, which is read beforehand.

python -m benchmarks.explaining
"""

from __future__ import annotations

from benchmarks.measure import Row, alternate, at_most, ms, show

ROUNDS, TARGET = 15, 3.0


def measure() -> list[Row]:
    import torch
    from PIL import Image

    import zoo_core as zoo

    model = zoo.create("resnet50", pretrained=False).eval()
    picture = Image.effect_noise((320, 240), 64).convert("RGB")
    x = model.transform()(picture)[None]

    def forward() -> None:
        with torch.inference_mode():
            model(x)

    times = alternate({"explain": lambda: zoo.explain(model, picture), "forward": forward}, ROUNDS)
    name = "ResNet-50, an explanation of one picture: against a forward pass"
    both = ms(times.median("explain")), ms(times.median("forward"))
    return [at_most(name, *both, times.ratio("explain", "forward"), TARGET)]


if __name__ == "__main__":
    show(measure())
