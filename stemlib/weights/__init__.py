"""Trained models, and beside each its card: data, split, seed, command and scores."""

from pathlib import Path

FOLDER = Path(__file__).parent
