"""One workflow per capability: named steps that compose the layers below. No mathematics, no words for agents."""
