"""What a node believes, and what it turns away."""
