"""The papers' printed numbers: computed anew where that needs no training, else listed."""
