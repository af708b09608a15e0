"""Optional dependencies: which extra installs what a module needs."""

from importlib import import_module
from types import ModuleType

from raiw.errors import MissingExtra

EXTRAS = {
    "PIL": "data",
    "google": "onnx",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "opentelemetry": "otel",
    "optuna": "search",
    "ortools": "optimal",
    "pyarrow": "parquet",
    "sklearn": "data",
    "sqlalchemy": "mlflow",
    "threadpoolctl": "torch",
    "timm": "timm",
    "torch": "torch",
    "torch_pruning": "torch",
    "torchvision": "timm",
    "transformers": "transformers",
    "wandb": "wandb",
}
"""Extra by package."""


def load(module: str) -> ModuleType:
    """Import an optional dependency, or a module of raiw that may need one.

    Raises
    ------
    MissingExtra
        The dependency is not installed; the message names the extra that brings it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        fault = f"{module} needs {error.name}" if package != module else f"{module} is missing"
        raise MissingExtra(f"{fault}: pip install 'raiw[{EXTRAS[package]}]'") from None
