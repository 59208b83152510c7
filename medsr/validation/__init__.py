"""The gate: channels, judge, policies. It imports no restorer and no model."""
