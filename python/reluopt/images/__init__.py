"""Images: MNIST, IDX files, PNG and NumPy files."""
