"""Right and wrong candidates, and what other checks say of them."""
