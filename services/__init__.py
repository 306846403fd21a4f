"""The services, each in a folder of its own, and what they all stand on."""
