"""LeNet-5 on real digits in Lightning's Trainer and in that of Hugging Face, with regularizers."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import zoo_core as zoo
from zoo_core.data.opening import open_data

# What Lightning says of the machine, of its own code, of a first step that a scaler skips, and of a
# folder or callbacks of the run before.
QUIET = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in (
        r".*does not have many workers",
        r"GPU available but not used",
        r".*isinstance\(treespec, LeafSpec\).*:FutureWarning",
        r"Detected call of .lr_scheduler.step",
        r"Checkpoint directory .* exists and is not empty",
        r"The dirpath has changed",
        r"Be aware that when using .ckpt_path",
    )
]

EPOCHS, BATCH = 3, 16


def digits_to_train():
    """96 to train and 32 to validate with: (N, 1, 32, 32) and classes."""
    pictures = open_data("digits").subset(range(0, 1792, 14))
    x = torch.stack([torch.from_numpy(np.array(picture)) for picture, _ in pictures])
    x = functional.pad(x[:, None].float() / 255, (2, 2, 2, 2))
    y = torch.tensor(pictures.targets)
    return TensorDataset(x[:96], y[:96]), TensorDataset(x[96:], y[96:])


def model():
    return zoo.create("lenet5", pretrained=True)


def optimizer_and_schedule(network):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    return optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)


def same(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def classifier(base, network):
    class Classifier(base):
        def __init__(self):
            super().__init__()
            self.model = network

        def forward(self, x):
            return self.model(x)

        def training_step(self, batch, number):
            if hasattr(self, "regularized"):
                return self.regularized(*batch)
            return functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer, schedule = optimizer_and_schedule(self)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

        def validation_step(self, batch, number):
            scores = self(batch[0])
            self.log("val_loss", functional.cross_entropy(scores, batch[1]))
            self.log("val_acc", (scores.argmax(1) == batch[1]).float().mean())

    return Classifier()


def fit(module, chosen, digits, path=None, shuffle=False, **given):
    lightning = pytest.importorskip("lightning.pytorch")
    from zoo_core.lightning import Regularization

    callback = chosen if isinstance(chosen, lightning.Callback) else Regularization(chosen)
    off = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary")
    settings = {"max_epochs": EPOCHS, "accelerator": "cpu", "callbacks": [callback]}
    trainer = lightning.Trainer(**dict.fromkeys(off, False) | settings | given)
    train, val = DataLoader(digits[0], BATCH, shuffle=shuffle), DataLoader(digits[1], 32)
    trainer.fit(module, train, val, ckpt_path=path)
    return trainer


def rows(dataset):
    return [{"pixel_values": x, "labels": y} for x, y in dataset]


def accuracy(prediction):
    return {"accuracy": (prediction.predictions.argmax(1) == prediction.label_ids).mean().item()}


def trainer(network, chosen, digits, folder, *, resume=None, **given):
    """A Trainer of Hugging Face's that has trained."""
    made = untrained(network, chosen, digits, folder, **given)
    made.train(resume_from_checkpoint=resume)
    return made


def untrained(network, chosen, digits, folder, *, options=(), **given):
    """One that has not; `options`: of its own, beside those of its TrainingArguments."""
    transformers = pytest.importorskip("transformers")
    from zoo_core.huggingface import Regularized

    class Mine(Regularized, transformers.Trainer):
        pass

    settings = {
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": 32,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "max_grad_norm": 0.0,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        **given,
    }
    evaluated = rows(digits[1]) if settings["eval_strategy"] != "no" else None
    made = Mine(
        network,
        transformers.TrainingArguments(str(folder), **settings),
        train_dataset=rows(digits[0]),
        eval_dataset=evaluated,
        compute_metrics=accuracy,
        optimizers=optimizer_and_schedule(network) if network is not None else (None, None),
        regularizers=chosen,
        **dict(options),
    )
    made.remove_callback(transformers.PrinterCallback)
    return made
