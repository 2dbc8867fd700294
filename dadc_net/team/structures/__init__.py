"""Information structures with parameters: who knows what, and when (paper, Section 2). ``structure`` says what one is."""
