"""Fine-tuning: an encoder, adapters and a head, trained on one domain and, in two stages, on another."""
