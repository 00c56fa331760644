"""Scores a run while it trains, and shows what it trains on and how it went."""
