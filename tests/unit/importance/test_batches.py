"""What data the scores take: labels by name or by place, losses of the model, generators."""

from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import raiw
from raiw.errors import InvalidInput
from raiw.importance.batches import cross_entropy

WORDS, WIDTH = 7, 5


class Language(nn.Module):
    """Token by token; with labels it returns its own loss, as those of transformers do."""

    def __init__(self, *, own_loss: bool = True) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WORDS)
        self.own_loss = own_loss

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, scale: int = 1):
        logits = self.head(torch.tanh(self.embed(input_ids))) * scale
        if labels is None or not self.own_loss:
            return SimpleNamespace(logits=logits, loss=None)
        told = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return SimpleNamespace(logits=logits, loss=told)


class Plain(nn.Module):
    def __init__(self, inner: Language) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.inner(input_ids).logits


@pytest.fixture
def net() -> Language:
    torch.manual_seed(0)
    return Language()


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, WORDS, (4, 6), generator=torch.Generator().manual_seed(1))


METHODS = ["loss_gradient", "snip", "taylor", "grasp"]


@pytest.mark.parametrize("method", METHODS)
def test_every_way_to_give_labels_is_the_same(net: Language, tokens: Tensor, method: str) -> None:
    wanted = raiw.score(net, [(tokens, tokens)], method)["head"]
    assert wanted.any()
    named = {"input_ids": tokens, "labels": tokens}
    silent = Language(own_loss=False)
    silent.load_state_dict(net.state_dict())
    for model, data in (
        (net, [named]),
        (net, named),
        (net, [UserDict(named)]),
        (net, [{**named, "scale": 1}]),
        (net, [[tokens, tokens]]),
        (net, [(tokens, tokens, torch.arange(4), "more")]),
        (net, [({"input_ids": tokens}, tokens)]),
        (net, [({"input_ids": tokens}, {"labels": tokens})]),
        (net, ((part, part) for part in (tokens[:2], tokens[2:]))),
        (silent, [named]),
    ):
        found = raiw.score(model, data, method)["head"]
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-9)
    for data in ([named], [{"input_ids": tokens, "target": tokens}], [(tokens, tokens)]):
        found = raiw.score(Plain(net), data, method)["inner.head"]
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-9)


def test_the_callers_loss_comes_before_the_models(net: Language, tokens: Tensor) -> None:
    batch = {"input_ids": tokens, "labels": tokens}
    own = raiw.score(net, [batch], "loss_gradient", loss=lambda out, _: out.square().mean())
    assert not np.allclose(own["head"], raiw.score(net, [batch], "loss_gradient")["head"])


def test_labels_are_no_input_of_scores_that_need_none(net: Language, tokens: Tensor) -> None:
    wanted = raiw.score(net, tokens, "gradient")["head"]
    batch = {"input_ids": tokens, "labels": tokens}
    for model in (net, Plain(net)):
        (found,) = raiw.score(model, batch, "gradient").values()
        assert found == pytest.approx(wanted)
    each = raiw.score(net, [batch], "gradient", samples="absolute")["head"]
    assert each == pytest.approx(
        np.mean([raiw.score(net, one[None], "gradient")["head"] for one in tokens], axis=0),
        rel=1e-5,
    )


def test_classes_are_the_second_axis_where_both_fit() -> None:
    logits, labels = torch.randn(2, 3, 3), torch.randint(0, 3, (2, 3))
    assert cross_entropy(logits, labels) == functional.cross_entropy(logits, labels)
    tokens = torch.randn(2, 4, 3)
    flat = functional.cross_entropy(tokens.flatten(0, 1), torch.zeros(8, dtype=torch.long))
    assert cross_entropy(tokens, torch.zeros(2, 4, dtype=torch.long)) == flat


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([{"input_ids": torch.zeros(2, 3, dtype=torch.long)}], "needs labels: .* labels, label"),
        ([torch.zeros(2, 3, dtype=torch.long)], "needs labels"),
        ([(torch.zeros(2, 3, dtype=torch.long), torch.zeros(5))], "loss cannot be computed of"),
        ([{"input_ids": 3, "labels": 4}], "a batch is a dict: give tensors"),
        ([["words"]], "a batch is a list"),
        ([], "no samples"),
        ([{"ids": torch.zeros(2, 3), "labels": torch.zeros(2)}], "cannot run .*'ids'"),
    ],
)
def test_what_is_no_batch(net: Language, data: list, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        raiw.score(net, data, "snip")
