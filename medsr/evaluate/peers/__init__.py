"""What a user already has: classical methods on the same inputs, told the same noise and the same operator."""
