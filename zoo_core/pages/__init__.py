"""What all pages share: the look, the template, charts, small pictures."""
