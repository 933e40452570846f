"""What the page says, one thing a file: each has `section(material)`, None where there is nothing to say."""
