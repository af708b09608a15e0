"""Masks in Lightning and in Hugging Face's Trainer: held, saved with checkpoints, put back."""

import logging
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import raiw
from raiw.errors import InvalidInput

lightning = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from raiw.applying import lightning as on_lightning  # noqa: E402 -- skipped where it is missing
from raiw.applying import transformers as on_transformers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
LAYERS = [
    {"name": "body.0", "kind": "linear", "in_features": 8, "out_features": 12},
    {"name": "body.2", "kind": "linear", "in_features": 12, "out_features": 4},
]
OLD, NEW = (raiw.craft({"layers": LAYERS, "craft": {"degree": 2, "seed": seed}}) for seed in (0, 1))
for noisy in ("lightning.pytorch", "transformers.trainer"):
    logging.getLogger(noisy).setLevel(logging.ERROR)


def data() -> list[dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 8, generator=rng)
    return [{"x": x, "labels": (x[:4]).argmax()} for x in inputs]


def body() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 4))


class Module(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = body()

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.body(batch["x"]), batch["labels"])

    def validation_step(self, batch):
        self.log("sparse", float((self.body[0].weight == 0).sum()))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.05)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = body()

    def forward(self, x, labels=None):
        logits = self.body(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class ChangeAt(lightning.Callback):
    """Change the masks after a step, as dynamic training does."""

    def __init__(self, step: int, masks: on_lightning.MaskCallback) -> None:
        self.step, self.masks = step, masks

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            self.masks.handle.update(NEW, *trainer.optimizers)


def fit(folder: Path, callback, *others, steps=4, module=None, path=None):
    module = module or Module()
    saving = lightning.callbacks.ModelCheckpoint(
        folder, filename="{step}", every_n_train_steps=2, save_top_k=-1
    )
    trainer = lightning.Trainer(
        max_steps=steps, callbacks=[callback, *others, saving], logger=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(data(), batch_size=8)
    trainer.fit(module, loader, ckpt_path=path)
    return trainer, module


def pruned(module, masks):
    return sum(
        int(getattr(module.body, name[-1]).weight[~mask.torch()].count_nonzero())
        for name, mask in masks.items()
    )


def kept(module, masks):
    return sum(
        int(getattr(module.body, name[-1]).weight[mask.torch()].count_nonzero())
        for name, mask in masks.items()
    )


def test_lightning_saves_the_masks_of_every_checkpoint(tmp_path):
    callback = on_lightning.MaskCallback(OLD)
    _, module = fit(tmp_path, callback, ChangeAt(3, callback))
    assert sorted(path.name for path in tmp_path.glob("*")) == [
        "step=2.ckpt", "step=2.masks.safetensors", "step=4.ckpt", "step=4.masks.safetensors",
    ]  # fmt: skip
    assert raiw.load(tmp_path / "step=2.masks.safetensors") == OLD
    assert raiw.load(tmp_path / "step=4.masks.safetensors") == NEW
    assert pruned(module, NEW) == 0
    callback.handle.check()


def test_lightning_goes_on_with_the_masks_of_the_checkpoint(tmp_path):
    """Those given first would cut the weights as they are loaded."""
    callback = on_lightning.MaskCallback(OLD)
    _, whole = fit(tmp_path / "whole", callback, ChangeAt(3, callback), steps=6)
    path = tmp_path / "whole" / "step=4.ckpt"
    trainer, rest = fit(tmp_path / "rest", on_lightning.MaskCallback(OLD), steps=6, path=path)
    assert raiw.applied(rest).masks == NEW
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name
    loader = torch.utils.data.DataLoader(data(), batch_size=8)
    early = tmp_path / "whole" / "step=2.ckpt"
    trainer.validate(rest, loader, ckpt_path=early, verbose=False)
    assert raiw.applied(rest).masks == OLD
    weights = torch.load(early, weights_only=False)["state_dict"]
    assert all(torch.equal(rest.state_dict()[name], value) for name, value in weights.items())


def test_lightning_says_when_the_mask_file_is_missing(tmp_path):
    callback = on_lightning.MaskCallback(OLD)
    fit(tmp_path, callback, ChangeAt(1, callback))
    (tmp_path / "step=2.masks.safetensors").unlink()
    path = tmp_path / "step=2.ckpt"
    with pytest.raises(InvalidInput, match=r"saved with masks sha256:.* no file of them"):
        fit(tmp_path / "rest", on_lightning.MaskCallback(OLD), path=path)
    _, module = fit(tmp_path / "given", on_lightning.MaskCallback(NEW), path=path)
    assert pruned(module, NEW) == 0


def test_lightning_removes_the_mask_file_of_a_checkpoint_it_removes(tmp_path):
    callback = on_lightning.MaskCallback(OLD)
    saving = lightning.callbacks.ModelCheckpoint(tmp_path / "one", every_n_train_steps=1)
    fit(tmp_path / "all", callback, saving)
    files = sorted(path.suffixes[-1] for path in (tmp_path / "one").iterdir())
    assert files == [".ckpt", ".safetensors"]


def arguments(folder: Path, steps: int, **more):
    return transformers.TrainingArguments(
        output_dir=str(folder), max_steps=steps, save_steps=2, per_device_train_batch_size=8,
        learning_rate=0.05, lr_scheduler_type="constant", report_to=[], use_cpu=True,
        disable_tqdm=True, seed=0, logging_strategy="no", **more,
    )  # fmt: skip


class UpdateAt(transformers.TrainerCallback):
    def __init__(self, step: int, masks: on_transformers.MaskTrainerCallback) -> None:
        self.step, self.masks = step, masks

    def on_step_end(self, args, state, control, optimizer=None, **_):
        if state.global_step == self.step:
            self.masks.handle.update(NEW, optimizer)


def train(folder: Path, callback, *others, steps=4, resume=None, **more):
    model = Model()
    trainer = transformers.Trainer(
        model, arguments(folder, steps, **more), train_dataset=data(),
        callbacks=[callback, *others],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume)
    return trainer, model


def test_transformers_saves_and_resumes_with_the_masks_of_the_checkpoint(tmp_path):
    callback = on_transformers.MaskTrainerCallback(OLD)
    _, whole = train(tmp_path, callback, UpdateAt(3, callback), steps=6)
    assert raiw.load(tmp_path / "checkpoint-2" / "masks.safetensors") == OLD
    assert raiw.load(tmp_path / "checkpoint-4" / "masks.safetensors") == NEW
    assert pruned(whole, NEW) == 0
    path = str(tmp_path / "checkpoint-4")
    again = on_transformers.MaskTrainerCallback(OLD)
    _, rest = train(tmp_path, again, steps=6, resume=path)
    assert again.handle.masks == NEW
    assert kept(rest, NEW) == NEW.weights
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name
    restored = {"restore_callback_states_from_checkpoint": True}
    _, third = train(
        tmp_path, on_transformers.MaskTrainerCallback(OLD), steps=6, resume=path, **restored
    )
    assert raiw.applied(third).masks == NEW


def test_transformers_says_when_the_masks_of_a_checkpoint_are_missing(tmp_path):
    callback = on_transformers.MaskTrainerCallback(OLD)
    train(tmp_path, callback, UpdateAt(1, callback), steps=2)
    path = str(tmp_path / "checkpoint-2")
    (tmp_path / "checkpoint-2" / "masks.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"saved with masks sha256:.* no file of them"):
        train(tmp_path, on_transformers.MaskTrainerCallback(OLD), resume=path)
    _, model = train(tmp_path, on_transformers.MaskTrainerCallback(NEW), resume=path)
    assert pruned(model, NEW) == 0


def test_transformers_trains_again_with_the_masks_that_are_held(tmp_path):
    callback = on_transformers.MaskTrainerCallback(OLD)
    trainer, model = train(tmp_path, callback, UpdateAt(1, callback), steps=2)
    trainer.train()
    assert pruned(model, NEW) == 0
    callback.handle.check()
    callback.handle.update({name: mask.torch() for name, mask in OLD.items()})
    with pytest.raises(InvalidInput, match="no set of raiw's"):
        trainer.train()


def test_transformers_warns_of_best_weights_that_were_cut(tmp_path):
    callback = on_transformers.MaskTrainerCallback(OLD)
    options = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True}
    metrics = iter([0.0, 1.0])
    trainer = transformers.Trainer(
        Model(), arguments(tmp_path, 4, **options), train_dataset=data(), eval_dataset=data(),
        compute_metrics=lambda _: {"loss": next(metrics)},
        callbacks=[callback, UpdateAt(3, callback)],
    )  # fmt: skip
    trainer.args.metric_for_best_model, trainer.args.greater_is_better = "eval_loss", False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train()
    assert any("saved with other masks" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("make", [on_lightning.MaskCallback, on_transformers.MaskTrainerCallback])
def test_a_callback_without_masks_takes_those_of_the_model(tmp_path, make):
    with pytest.raises(InvalidInput, match="there are no masks"):
        fit(tmp_path, make()) if make is on_lightning.MaskCallback else train(tmp_path, make())
    if make is on_lightning.MaskCallback:
        module = Module()
        raiw.apply(module, OLD)
        fit(tmp_path, make(), module=module)
        assert raiw.load(tmp_path / "step=4.masks.safetensors") == OLD
        other = Module()
        raiw.apply(other, NEW)
        with pytest.raises(InvalidInput, match="holds other masks"):
            fit(tmp_path, make(OLD), module=other)
