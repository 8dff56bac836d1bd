"""Parts of harvest_policy: choosing actions, playing episodes, and the rows of the store that come of them."""
