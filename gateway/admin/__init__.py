"""What people and Prometheus ask: /healthz, /readyz, /metrics."""
