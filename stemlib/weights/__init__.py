"""Trained models, and beside each its card: data, split, seed, command and scores."""
