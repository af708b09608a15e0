"""Studies by training: methods compared by the accuracy that their masks reach."""
