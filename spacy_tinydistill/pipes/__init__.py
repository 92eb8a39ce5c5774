"""What is known of any spaCy pipeline: its pipes, its encoder, its tokenizer and rules, the device it runs on."""
