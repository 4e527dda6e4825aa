"""The page of a run: curves, confusion matrix, mistakes, what was frozen."""
