"""Low-rank adapters on a frozen backbone, for encoders and decoders alike: trained here, or elsewhere by peft."""
