"""The simulated Earth: loopback services over a procedural world."""
