"""The papers' numbers that need no training, computed anew and set beside what was printed."""
