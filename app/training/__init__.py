"""Fine-tuning and the hardware it runs on."""
