"""A name -> a verified file of tensors: sources, hashes, locks, checkpoints."""
