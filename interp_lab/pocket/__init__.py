"""The models in the box: how they are trained and measured, and their weights. Loading one needs nothing from here."""
