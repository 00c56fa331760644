"""From the bytes of a picture to the pixels the network takes."""
