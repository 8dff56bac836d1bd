"""Jobs in parts: a lead that plans and ends the work, shards between, wherever they run; files tell all."""
