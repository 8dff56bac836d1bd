"""Attribution graphs of one prompt: what every part hands to every later one while the rest is frozen."""
