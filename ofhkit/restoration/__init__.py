"""From anybody's picture to a restored one: reading, the hole, the face, the network, and honest results."""

from ofhkit.restoration.inference import Result, hallucinate

__all__ = ["Result", "hallucinate"]
