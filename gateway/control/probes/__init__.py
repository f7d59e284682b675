"""One probe, asked: a file for each kind, and what they share. When to ask is the prober's business."""
