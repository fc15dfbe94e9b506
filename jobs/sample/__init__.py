"""The demo sample: a small web made on the spot, with a known answer for every document in it."""
