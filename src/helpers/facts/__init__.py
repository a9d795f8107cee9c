"""What is published about the atlas, as small tables with their source."""
