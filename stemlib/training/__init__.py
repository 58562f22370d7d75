"""What makes the weights that stemlib ships: each `train_*` is plain Python."""
