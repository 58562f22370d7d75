"""What only the reproduction needs: cases, scores, figures with numbers, and the runner of `make reproduce`."""
