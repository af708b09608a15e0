"""Foreign things read: documents, torch modules, checkpoints and ONNX files as layers."""
