"""The client of the Hugging Face Hub as zoo uses it: for weights, and for data sets."""
