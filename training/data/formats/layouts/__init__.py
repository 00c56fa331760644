"""The layouts that detection sets come in: one module each."""
