"""How a subject is asked: scorers turn items into requests, one engine answers them."""
