"""What a reader sees of the convex study: words, figures and the chapter that holds them."""
