"""Data formats, one file each: folders, CSV, Hugging Face datasets, WebDataset, torchvision."""
