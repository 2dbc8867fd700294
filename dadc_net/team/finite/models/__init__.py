"""Models that come with the package, each written from its published definition; ``shipped`` lists them."""
