"""Networks of transformers, by configurations of a few units."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from tests.networks.network import Batch, Network

WORDS, TOKENS, SAMPLES, CLASSES = 40, 8, 3, 4

TEXT: dict[str, Any] = {
    "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 32, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
SHARED_KEYS = TEXT | {"num_key_value_heads": 2, "head_dim": 8}
GPT = {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
IMAGE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": 32, "patch_size": 8, "num_labels": CLASSES,
}  # fmt: skip
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
SEQUENCES = {
    "vocab_size": WORDS, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48, "max_position_embeddings": 32, "decoder_start_token_id": 2,
} | SPECIAL  # fmt: skip
LABELLED = TEXT | {"num_labels": CLASSES}

CAUSAL: dict[str, dict[str, Any]] = {
    "GPT2": GPT | SPECIAL,
    "OpenAIGPT": GPT,
    "GPTNeo": {
        "vocab_size": WORDS, "hidden_size": 32, "num_layers": 2, "num_heads": 4,
        "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 32,
    },
    "GPTNeoX": TEXT,
    "GPTJ": GPT | {"rotary_dim": 4} | SPECIAL,
    "CodeGen": GPT | {"rotary_dim": 4, "n_ctx": 32} | SPECIAL,
    "Bloom": {"vocab_size": WORDS, "hidden_size": 32, "n_layer": 2, "n_head": 4} | SPECIAL,
    "Falcon": TEXT,
    "Mpt": {"vocab_size": WORDS, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 32},
    "OPT": TEXT | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "Llama": SHARED_KEYS,
    "Mistral": SHARED_KEYS,
    "Qwen2": SHARED_KEYS,
    "Qwen3": SHARED_KEYS,
    "Gemma2": SHARED_KEYS | {"query_pre_attn_scalar": 8},
    "Phi3": SHARED_KEYS,
    "Mamba": {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "Mixtral": SHARED_KEYS | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Qwen3Moe": SHARED_KEYS | EXPERTS | {"num_experts": 4},
    "GptOss": SHARED_KEYS | {"num_local_experts": 4, "num_experts_per_tok": 2},
}  # fmt: skip

LABELLING: dict[str, dict[str, Any]] = {
    "Bert": LABELLED,
    "Roberta": LABELLED,
    "Electra": LABELLED | {"embedding_size": 16},
    "Albert": LABELLED | {"embedding_size": 16},
    "DebertaV2": LABELLED,
    "ModernBert": LABELLED,
    "DistilBert": {
        "vocab_size": WORDS, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4,
        "max_position_embeddings": 32, "num_labels": CLASSES,
    },
}  # fmt: skip

SEEING: dict[str, dict[str, Any]] = {
    "ViT": IMAGE,
    "Swin": {
        "image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4],
        "window_size": 4, "num_labels": CLASSES,
    },
    "ConvNext": {"hidden_sizes": [16, 24], "depths": [1, 1], "num_stages": 2, "num_labels": 4},
    "ResNet": {
        "embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "num_labels": CLASSES,
    },
    "Segformer": {
        "hidden_sizes": [16, 32], "depths": [1, 1], "num_attention_heads": [1, 2],
        "sr_ratios": [2, 1], "patch_sizes": [7, 3], "strides": [4, 2], "num_encoder_blocks": 2,
        "mlp_ratios": [2, 2], "decoder_hidden_size": 16, "num_labels": CLASSES,
    },
}  # fmt: skip


def ids() -> torch.Tensor:
    return torch.randint(3, WORDS, (SAMPLES, TOKENS))


def made(family: str, task: str, config: dict[str, Any]) -> nn.Module:
    import transformers

    known = getattr(transformers, f"{family}Config")
    return getattr(transformers, f"{family}For{task}")(known(**config))


def causal(family: str) -> tuple[nn.Module, Batch]:
    head = {"GPT2": "LMHeadModel", "OpenAIGPT": "LMHeadModel"}.get(family)
    if head is None:
        model = made(family, "CausalLM", CAUSAL[family])
    else:
        import transformers

        config = getattr(transformers, f"{family}Config")(**CAUSAL[family])
        model = getattr(transformers, f"{family}{head}")(config)
    tokens = ids()
    return model, {"input_ids": tokens, "labels": tokens}


def labelling(family: str) -> tuple[nn.Module, Batch]:
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    batch = {"input_ids": ids(), "attention_mask": torch.ones(SAMPLES, TOKENS, dtype=torch.long)}
    return made(family, "SequenceClassification", LABELLING[family]), batch | {"labels": labels}


def seeing(family: str) -> tuple[nn.Module, Batch]:
    model = made(family, "ImageClassification", SEEING[family])
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    return model, {"pixel_values": torch.randn(SAMPLES, 3, 32, 32), "labels": labels}


def t5() -> tuple[nn.Module, Batch]:
    config = {
        "vocab_size": WORDS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4,
        "decoder_start_token_id": 0,
    }  # fmt: skip
    return made("T5", "ConditionalGeneration", config), {"input_ids": ids(), "labels": ids()}


def bart() -> tuple[nn.Module, Batch]:
    model = made("Bart", "ConditionalGeneration", SEQUENCES | {"forced_eos_token_id": 2})
    return model, {"input_ids": ids(), "labels": ids()}


def whisper() -> tuple[nn.Module, Batch]:
    config = SEQUENCES | {
        "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16,
        "suppress_tokens": None, "begin_suppress_tokens": None,
    }  # fmt: skip
    features = torch.randn(SAMPLES, 8, 32)
    model = made("Whisper", "ConditionalGeneration", config)
    return model, {"input_features": features, "labels": ids()}


def wav2vec2() -> tuple[nn.Module, Batch]:
    config = TEXT | {
        "conv_dim": [16, 16], "conv_kernel": [5, 3], "conv_stride": [3, 2], "num_labels": CLASSES,
        "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8,
        "mask_time_prob": 0.0, "layerdrop": 0.0,
    }  # fmt: skip
    model = made("Wav2Vec2", "SequenceClassification", config)
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    return model, {"input_values": torch.randn(SAMPLES, 160), "labels": labels}


def clip() -> tuple[nn.Module, Batch]:
    import transformers

    text = TEXT | {"projection_dim": 16}
    image = {key: value for key, value in IMAGE.items() if key != "num_labels"}
    config = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=16)

    class Matched(nn.Module):
        """Which text belongs to which image."""

        def __init__(self) -> None:
            super().__init__()
            self.clip = transformers.CLIPModel(config)

        def forward(self, **batch: torch.Tensor) -> torch.Tensor:
            batch.pop("labels", None)
            return self.clip(**batch).logits_per_image

    pixels, pairs = torch.randn(SAMPLES, 3, 32, 32), torch.arange(SAMPLES)
    return Matched(), {"input_ids": ids(), "pixel_values": pixels, "labels": pairs}


def adapted() -> tuple[nn.Module, Batch]:
    """GPT-2 with low-rank adapters of PEFT."""
    import peft

    model, batch = causal("GPT2")
    config = peft.LoraConfig(target_modules=["c_attn", "c_fc"], r=2, fan_in_fan_out=True)
    return peft.get_peft_model(model, config), batch


def networks() -> Iterator[Network]:
    for families, make in ((CAUSAL, causal), (LABELLING, labelling), (SEEING, seeing)):
        for family in families:
            yield Network(family, "transformers", lambda make=make, family=family: make(family))
    for make in (t5, bart, whisper, wav2vec2, clip):
        yield Network(make.__name__, "transformers", make)
    yield Network("gpt2-lora", "peft", adapted)
