"""Small networks of random weights, as Brevitas exports them."""
