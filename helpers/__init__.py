"""What one lesson has taught and later lessons import."""
