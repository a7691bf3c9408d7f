"""Reports as text: each renderer is a module of its own, and none imports torch."""
