"""The book: what the VPN clients said, and what was done and happened, kept on disk and asked for by page or stream."""
