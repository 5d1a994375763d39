"""Breaks everything at random, and then looks whether what must hold still holds."""
