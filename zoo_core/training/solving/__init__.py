"""Linear classifiers in closed form, with what each picture would get were it left out."""
