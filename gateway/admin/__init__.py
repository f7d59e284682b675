"""What people and Prometheus ask: /healthz, /readyz, /metrics and /api/v1, over TCP and over the control socket."""
