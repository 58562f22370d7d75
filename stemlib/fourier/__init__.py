"""What an image's Fourier transform tells of a crystal: reflections, amplitudes, phases, strain and triplets."""
