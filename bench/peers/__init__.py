"""What may stand between client and target: one file each, and the list of them all in `catalogue`."""
