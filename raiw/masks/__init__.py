"""Masks: a crafted network's layers, their mask file, and what can be done with them."""

from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet, load

__all__ = ["Mask", "MaskSet", "load"]
