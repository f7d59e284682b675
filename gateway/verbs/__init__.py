"""The verbs that ask a running gateway, or have it do something, over its control socket."""
