"""One spec crafted by several methods and seeds, compared in one report."""
