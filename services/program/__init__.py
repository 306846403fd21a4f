"""The program `greenchannel`: it puts the services together, and speaks with the people at a terminal."""
