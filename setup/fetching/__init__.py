"""What `setup/fetch.py` stands on: one module for each part of getting a checked folder onto this machine."""
