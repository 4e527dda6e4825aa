"""finetune(): train what is not frozen, into a run."""
