"""What models there are, chosen by their figures: in a list, and as a page to look around in."""
