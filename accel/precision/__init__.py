"""What precision costs and buys: accumulators, cost laws, sensitivity, allocation."""
