"""Who says what a gradient should be: one oracle a file, each by another method, and what their testimony is worth."""
