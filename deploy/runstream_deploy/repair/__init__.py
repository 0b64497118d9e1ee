"""`runstream repair` names what runs lack, and restores it from the places that still have it."""
